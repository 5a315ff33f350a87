"""The protocol of observers, which an observed backend calls as things happen to its websockets.

An observer only listens: an exception that it raises is logged, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

from polysocket._logger import get_logger
from polysocket.close_info import CloseInfo
from polysocket.frames import Close, CloseCode, Frame
from polysocket.request import Request
from polysocket.response import Response

__all__ = ["Observation", "Observer", "guarded", "observations", "payload_size"]

T = TypeVar("T")


class Observer(Protocol):
    """A maker of :class:`Observation` objects, one for each websocket that is about to be opened."""

    def opening(self, request: Request, /) -> Observation:
        """Return an observation of the websocket that is about to be opened for this request."""
        ...


class Observation:
    """Callbacks for the events of one websocket, in this order; override those of interest.

    They are called one at a time, in the order of the events, by a thread or task that uses the websocket. It waits for
    them, so they must be quick. They may call methods of the websocket that don't wait.
    """

    def opened(self, response: Response, /) -> None:
        """Note that the websocket is open."""

    def rejected(self, error: BaseException, /) -> None:
        """Note that the websocket could not be opened, or that opening it was cancelled; no other event follows."""

    def received(self, frame: Frame | Close, /) -> None:
        """Note a received frame."""

    def sent(self, frame: Frame | Close, /) -> None:
        """Note a sent frame, including the Pongs and the answer to a Close that are sent automatically."""

    def closed(self, info: CloseInfo, /) -> None:
        """Note that the websocket and its connection have ended."""


def observations(observers: Iterable[Observer], request: Request) -> list[Observation]:
    """Begin to observe a request. Log an observer that fails or returns no Observation, and leave it out."""
    begun: list[Observation] = []
    for observer in observers:
        try:
            begun.append(_checked(observer, observer.opening(request)))
        except Exception:  # noqa: BLE001 - logged
            get_logger().exception("an observer failed")
    return begun


def _checked(observer: Observer, observation: object) -> Observation:
    if not isinstance(observation, Observation):
        raise TypeError(f"{type(observer).__name__}.opening() must return an Observation, not {observation!r}")
    return observation


def payload_size(frame: Frame | Close) -> int:
    """Return the size of a frame's payload in bytes, before compression."""
    if isinstance(frame, Close):
        return 0 if frame.code == CloseCode.NO_STATUS_RECEIVED else len(frame.reason.encode()) + 2
    return len(frame.payload.encode()) if isinstance(frame.payload, str) else memoryview(frame.payload).nbytes


def guarded(call: Callable[[T], None]) -> Callable[[T], None]:
    """Return a function that calls ``call`` and logs its exceptions."""

    def guard(argument: T) -> None:
        try:
            call(argument)
        except Exception:  # noqa: BLE001 - logged
            get_logger().exception("an observer failed")

    return guard
