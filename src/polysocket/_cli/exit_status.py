"""The exit statuses of the command."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["ExitStatus"]


class ExitStatus(IntEnum):
    """The exit statuses of the command, as docs/guide/command.rst lists them."""

    NORMAL = 0
    NOT_OPENED = 1
    USAGE = 2  # argparse's own
    ABNORMAL = 3
    STDIO = 4
    INTERRUPTED = 130  # 128 and the number of SIGINT, as shells have it
