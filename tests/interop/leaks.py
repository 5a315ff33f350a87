"""Looks what a test leaves behind: besides what the contract looks for, no thread."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from polysocket.testing.contract import leaks


@contextlib.contextmanager
def nothing_left_behind() -> Iterator[None]:
    """Hold what is inside to leave nothing; each fixture that is to be ended first must stand inside of it."""
    threads = set(threading.enumerate())
    with leaks.nothing_left_behind():
        yield
        left = {thread for thread in threading.enumerate() if not thread.name.startswith("Trio thread")}
        assert left <= threads, "threads are left behind"
