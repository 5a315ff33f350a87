"""Checks for what a test leaks."""

from __future__ import annotations

import contextlib
import gc
import os
import pathlib
import stat
from collections.abc import Generator

__all__ = ["nothing_left_behind"]


@contextlib.contextmanager
def nothing_left_behind() -> Generator[None]:
    """Check that the block leaks no socket, and nothing that is collected with a ResourceWarning.

    Each fixture that must end first is used inside. Warnings must be errors.
    """
    gc.freeze()  # what is there already need not be looked at: the collection below takes a tenth of the time then
    try:
        before = _open_sockets()
        yield
        assert _open_sockets() <= before, "sockets are left open"
        gc.collect()
    finally:
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
