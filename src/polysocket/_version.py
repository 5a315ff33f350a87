"""The version of polysocket, which its User-Agent header names."""

from typing import Final

__all__ = ["__version__"]

__version__: Final = "0.1.0"
