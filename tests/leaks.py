"""Checks that a test leaks no thread, besides what the contract checks."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Generator, Iterator

import pytest

from polysocket.testing.contract import leaks

__all__ = ["leave_nothing", "no_thread_left_behind", "nothing_left_behind"]

PATIENCE = 2  # seconds for a thread to end


@pytest.fixture(autouse=True)
def leave_nothing() -> Iterator[None]:
    """Fail a test that leaves a socket, a thread, or what is collected with a ResourceWarning."""
    with nothing_left_behind():
        yield


@contextlib.contextmanager
def nothing_left_behind() -> Generator[None]:
    """Fail if the block leaks anything; fixtures that end before the check must be entered inside the block."""
    with leaks.nothing_left_behind(), no_thread_left_behind():
        yield


@contextlib.contextmanager
def no_thread_left_behind() -> Generator[None]:
    """Fail if the block leaks a thread; trio keeps its own worker threads."""
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        if not _is_kept(thread):
            with contextlib.suppress(RuntimeError):  # It is about to start.
                thread.join(PATIENCE)  # A thread that has set its result may be about to end.
            assert not thread.is_alive() or _is_kept(thread), f"a thread is leaked: {thread}"


def _is_kept(thread: threading.Thread) -> bool:
    return thread.name.startswith("Trio thread")  # A worker has another name while it works.
