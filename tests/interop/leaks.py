"""Looks what a test leaves behind: no socket, no thread, nothing that is collected with a ResourceWarning."""

from __future__ import annotations

import contextlib
import gc
import os
import pathlib
import stat
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def nothing_left_behind() -> Iterator[None]:
    """Hold what is inside to leave nothing; each fixture that is to be ended first must stand inside of it."""
    gc.freeze()  # what is there already need not be looked at: the collection below takes a tenth of the time then
    sockets, threads = _open_sockets(), set(threading.enumerate())
    yield
    left = {thread for thread in threading.enumerate() if not thread.name.startswith("Trio thread")}
    assert left <= threads, "threads are left behind"
    assert _open_sockets() <= sockets, "sockets are left open"
    gc.collect()
    gc.unfreeze()


def _open_sockets() -> set[tuple[int, int]]:
    sockets: set[tuple[int, int]] = set()
    folder = pathlib.Path("/dev/fd")
    for path in folder.iterdir() if folder.exists() else ():
        with contextlib.suppress(OSError):  # that by which the folder is read is closed by now
            status = os.fstat(int(path.name))
            if stat.S_ISSOCK(status.st_mode):
                sockets.add((int(path.name), status.st_ino))
    return sockets
