"""The base of the iterators of asynchronous flavours, which names ``async for`` to a caller that uses ``for``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, NoReturn, TypeVar

__all__ = ["AsyncForIterator"]

T = TypeVar("T")


class AsyncForIterator(AsyncIterator[T]):
    """An iterator of an asynchronous flavour, which names ``async for`` if it is used with ``for``."""

    if not TYPE_CHECKING:  # A type checker refuses "for" by itself.

        def __iter__(self) -> NoReturn:
            raise TypeError("an iterator of this flavour is for 'async for', not 'for'")
