"""Checks that a test leaks nothing."""

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
    """Check that the block leaks no socket, and no object that is collected with a ResourceWarning.

    Fixtures that must end before the check are used inside the block. Warnings must be errors.
    """
    gc.freeze()  # Objects that exist already need no check. Without them, the collection takes a tenth of the time.
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
        with contextlib.suppress(OSError):  # iterdir() has closed its own descriptor of the folder
            status = os.fstat(int(path.name))
            if stat.S_ISSOCK(status.st_mode):
                sockets.add((int(path.name), status.st_ino))
    return sockets
