"""The one logger of the package, ``polysocket``."""

from __future__ import annotations

import logging
from typing import Final

__all__ = ["logger"]

logger: Final = logging.getLogger("polysocket")
