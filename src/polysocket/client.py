"""``PolymorphicClient``: a class over a websocket, whose methods are written once for every flavour.

Users subclass it for a protocol on top of WebSocket; :class:`~polysocket.effect.polymorphic` makes the methods. Nothing
here waits.
"""

from __future__ import annotations

from typing import TypeVar, cast

from polysocket.effect import Async, Direct, HasEffect, Lifting
from polysocket.websocket import WebSocket

__all__ = ["PolymorphicClient"]

F_co = TypeVar("F_co", covariant=True)


class PolymorphicClient(HasEffect[F_co]):
    """The base of a class whose ``@polymorphic`` methods give their results in the ``F`` of its websocket.

    In such a method ``self`` is to be annotated with ``Async`` (``self: MyClient[Async]``): there ``self.websocket`` is
    a ``WebSocket[Async]``, and calls of other polymorphic methods are awaited, whatever the flavour. All other
    attributes are the object's own, and may be set. A subclass has no ``__slots__``.
    """

    __slots__ = ("_effect", "_websocket")  # what a program sees otherwise; the rest is in __dict__, and shared

    _effect: Lifting
    _websocket: WebSocket[F_co]

    def __init__(self, websocket: WebSocket[F_co]) -> None:
        if not isinstance(websocket, WebSocket):
            raise TypeError(f"{type(self).__name__}() takes a WebSocket, not {type(websocket).__name__}")
        self._websocket = websocket
        self._effect = websocket._effect

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "__slots__" in cls.__dict__:
            raise TypeError(f"{cls.__name__} has __slots__, which a PolymorphicClient can't share with its programs")

    @property
    def websocket(self) -> WebSocket[F_co]:
        """The websocket that it speaks by."""
        return self._websocket

    def _for_programs(self) -> PolymorphicClient[Async]:
        if self._effect.is_async:
            return cast("PolymorphicClient[Async]", self)
        view = cast("PolymorphicClient[Async]", object.__new__(type(self)))
        view.__dict__ = self.__dict__
        view._websocket = self._websocket._for_programs()
        view._effect = Direct()
        return view
