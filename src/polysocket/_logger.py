"""The one logger of the package, ``polysocket``."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import logging

__all__ = ["get_logger"]


@cache
def get_logger() -> logging.Logger:
    """Return the logger; ``logging`` is imported with the first line of log, since it takes long."""
    import logging  # noqa: PLC0415 - as above

    return logging.getLogger("polysocket")
