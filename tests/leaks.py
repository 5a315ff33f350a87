"""Looks what a test leaves behind: besides what the contract looks for, no thread."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Generator, Iterator

import pytest

from polysocket.testing.contract import leaks

__all__ = ["leave_nothing", "no_thread_left_behind", "nothing_left_behind"]

PATIENCE = 2  # seconds


@pytest.fixture(autouse=True)
def leave_nothing() -> Iterator[None]:
    """Fail a test that leaves a socket, a thread, or what is collected with a ResourceWarning."""
    with nothing_left_behind():
        yield


@contextlib.contextmanager
def nothing_left_behind() -> Generator[None]:
    """Hold what is inside to leave nothing; each fixture that is to be ended first must stand inside of it."""
    with leaks.nothing_left_behind(), no_thread_left_behind():
        yield


@contextlib.contextmanager
def no_thread_left_behind() -> Generator[None]:
    """Hold what is inside to leave no thread, but those that trio keeps."""
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        if not _is_kept(thread):
            thread.join(PATIENCE)  # It may have given its result, and be about to end.
            assert not thread.is_alive() or _is_kept(thread), f"a thread is left behind: {thread}"


def _is_kept(thread: threading.Thread) -> bool:
    return thread.name.startswith("Trio thread")  # It has another name while it works.
