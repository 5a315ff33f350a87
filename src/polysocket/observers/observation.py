"""Observers: what logging, metrics and tracing hang on; a backend that is observed tells them what happens.

An observer only listens. What it raises is logged, and changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Final, Protocol, TypeVar

from polysocket.close_info import CloseInfo
from polysocket.frames import Close, CloseCode, Frame
from polysocket.request import Request
from polysocket.response import Response

__all__ = ["Observation", "Observer", "each", "guarded", "logger", "observations", "payload_size"]


T = TypeVar("T")


logger: Final = logging.getLogger("polysocket")


class Observer(Protocol):
    """Makes an :class:`Observation` for each websocket that is about to be opened."""

    def opening(self, request: Request, /) -> Observation:
        """A request is about to be opened."""
        ...


class Observation:
    """What happens to one websocket, in this order; override what is of interest.

    Called in the thread or task in which it happens, and while the websocket is locked: it must be quick, and must not
    wait. A call of the websocket's methods would wait for itself, and never end.
    """

    def opened(self, response: Response, /) -> None:
        """It is open."""

    def rejected(self, error: BaseException, /) -> None:
        """It could not be opened, or that was cancelled; this is all then."""

    def received(self, frame: Frame | Close, /) -> None:
        """A frame has come."""

    def sent(self, frame: Frame | Close, /) -> None:
        """A frame was sent, by a program or by itself: a Pong, an answer to a Close."""

    def closed(self, info: CloseInfo, /) -> None:
        """It has ended, and so has the connection."""


def observations(observers: Iterable[Observer], request: Request) -> list[Observation]:
    """Begin to observe a request; an observer that fails, or gives no Observation, is logged and left out."""
    begun: list[Observation] = []
    for observer in observers:
        try:
            begun.append(_checked(observer, observer.opening(request)))
        except Exception:
            logger.exception("an observer failed")
    return begun


def _checked(observer: Observer, observation: object) -> Observation:
    if not isinstance(observation, Observation):
        raise TypeError(f"{type(observer).__name__}.opening() gives an Observation, not {observation!r}")
    return observation


def payload_size(frame: Frame | Close) -> int:
    """The payload's size in bytes, before compression."""
    if isinstance(frame, Close):
        return 0 if frame.code == CloseCode.NO_STATUS_RECEIVED else len(frame.reason.encode()) + 2
    return len(frame.payload.encode()) if isinstance(frame.payload, str) else len(frame.payload)


def each(first: Callable[[T], None] | None, second: Callable[[T], None]) -> Callable[[T], None]:
    """Both calls, one after the other; the second where there is no first."""
    if first is None:
        return second
    before = first

    def both(argument: T) -> None:
        before(argument)
        second(argument)

    return both


def guarded(call: Callable[[T], None]) -> Callable[[T], None]:
    """The same call, whose errors are logged."""

    def guard(argument: T) -> None:
        try:
            call(argument)
        except Exception:
            logger.exception("an observer failed")

    return guard
