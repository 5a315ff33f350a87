"""What this process uses of the system: memory, descriptors and threads."""

from __future__ import annotations

import pathlib
import sys
import threading
from typing import NamedTuple

__all__ = ["Usage", "memory", "raise_descriptor_limit", "usage"]


class Usage(NamedTuple):
    """The numbers of what must be given back. Descriptors are 0 on systems that do not list them."""

    descriptors: int
    threads: int
    tasks: int

    def above(self, before: Usage) -> Usage:
        """Return what is more than before."""
        return Usage(*(max(0, now - then) for now, then in zip(self, before, strict=True)))


def usage(tasks: int) -> Usage:
    """Return the usage; the caller counts the tasks of its event loop."""
    descriptors, threads = pathlib.Path("/dev/fd"), pathlib.Path("/proc/self/task")
    return Usage(
        len(list(descriptors.iterdir())) if descriptors.exists() else 0,
        len(list(threads.iterdir())) if threads.exists() else threading.active_count(),
        tasks,
    )


def memory() -> int | None:
    """Return the bytes of memory in use (the resident set), or None on systems without ``/proc``."""
    statm = pathlib.Path("/proc/self/statm")
    if not statm.exists():
        return None
    import resource

    return int(statm.read_text().split()[1]) * resource.getpagesize()


def raise_descriptor_limit() -> int | None:
    """Raise the limit of open descriptors, for child processes too, and return it; None if there is no limit."""
    if sys.platform == "win32":
        return None
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return None
    # macOS has no hard limit by default, but refuses a soft one above its OPEN_MAX.
    limit = max(soft, 10_240) if hard == resource.RLIM_INFINITY else hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    return limit
