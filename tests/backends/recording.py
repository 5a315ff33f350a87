"""Observers that record what they are told, and a set that does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from polysocket import Close, CloseInfo, Frame, Observation, Request, Response
from polysocket.observers.observation import payload_size


class Recording(Observation):
    """An observer, and its own observation, that records all events."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.sizes: list[int] = []

    def opening(self, request: Request, /) -> Observation:
        self.events.append(request)
        return self

    def opened(self, response: Response, /) -> None:
        self.events.append(response.status)

    def rejected(self, error: BaseException, /) -> None:
        self.events.append(error)

    def received(self, frame: Frame | Close, /) -> None:
        self.events.append(("received", frame))
        self.sizes.append(payload_size(frame))

    def sent(self, frame: Frame | Close, /) -> None:
        self.events.append(("sent", frame))
        self.sizes.append(payload_size(frame))

    def closed(self, info: CloseInfo, /) -> None:
        self.events.append(info)


class EndObserver(Observation):
    """An observer, and its own observation, that calls back when a websocket has ended."""

    def __init__(self, closed: Callable[[CloseInfo], object] = lambda _: None) -> None:
        self._closed = closed

    def opening(self, request: Request, /) -> Observation:
        return self

    def closed(self, info: CloseInfo, /) -> None:
        self._closed(info)


class WatchedSet(set[Any]):
    """A set that calls back for each element that is discarded."""

    def __init__(self, discarded: Callable[[object], object]) -> None:
        super().__init__()
        self._discarded = discarded

    def discard(self, element: object) -> None:
        super().discard(element)
        self._discarded(element)
