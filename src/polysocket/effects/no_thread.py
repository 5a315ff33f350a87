"""The error of a call for which the system starts no thread."""

from __future__ import annotations

import errno

__all__ = ["no_thread"]


def no_thread(purpose: str, error: RuntimeError) -> OSError:
    """Return an OSError with the system's code, which Python's RuntimeError lacks; ``purpose`` begins with ``to``."""
    return OSError(errno.EAGAIN, f"no thread could be started {purpose}: {error}")
