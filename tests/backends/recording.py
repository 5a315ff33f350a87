"""An observer that keeps what it is told."""

from __future__ import annotations

from typing import Any

from polysocket import Close, CloseInfo, Frame, Observation, Request, Response
from polysocket.observers.observation import payload_size


class Recording(Observation):
    """An observer and its observation in one; keeps what it is told."""

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
