"""``RecordingBackend``: a backend that records real conversations, without their secrets.

It redacts headers whose names suggest a secret, query strings, fragments and user names in other headers, and the
secrets that the user's ``redact`` removes from frames.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Literal, TypeVar

from polysocket.backend import Backend, ObservedBackend
from polysocket.close_info import CloseInfo
from polysocket.errors import UpgradeRejected
from polysocket.frames import Close, Frame
from polysocket.headers import Headers
from polysocket.observers.observation import Observation
from polysocket.redaction import holds_url, is_secret
from polysocket.request import Request
from polysocket.response import Response
from polysocket.testing.arguments import check_callable
from polysocket.testing.recording import Recorded, Recording, Redact, unchanged

__all__ = ["REDACTED", "RecordingBackend"]

F_co = TypeVar("F_co", covariant=True)

REDACTED: str = "[redacted]"
"""The text that replaces a secret."""

_QUERY = re.compile(r"(\?)[^\s#]+")
_QUERY_OR_FRAGMENT = re.compile(r"([?#])\S+")
_USER = re.compile(r"(?<=//)[^\s/?#]*@")


class RecordingBackend(ObservedBackend[F_co]):
    """A backend that wraps another one, and records the conversations of the websockets that it opens.

    ``redact`` is a function that returns each frame without its secrets.
    """

    def __init__(self, backend: Backend[F_co], *, redact: Redact = unchanged) -> None:
        self._check(backend)
        check_callable("redact", redact)
        self._observer = _RecordingObserver(backend._connector.effect.now, redact)
        super().__init__(backend, self._observer)

    @property
    def recordings(self) -> tuple[Recording, ...]:
        """The conversations up to this moment, in the order of their openings."""
        return tuple(each.recording for each in self._observer.observations)


class _RecordingObserver:
    def __init__(self, now: Callable[[], float], redact: Redact) -> None:
        self.observations: list[_RecordingObservation] = []
        self._now = now
        self._redact = redact

    def opening(self, request: Request, /) -> Observation:
        observation = _RecordingObservation(request, self._now, self._redact)
        self.observations.append(observation)
        return observation


class _RecordingObservation(Observation):
    def __init__(self, request: Request, now: Callable[[], float], redact: Redact) -> None:
        self._recording = Recording(str(request.url), _without_secrets(request.headers))
        self._frames: list[Recorded] = []
        self._now = now
        self._redact = redact
        self._started_at = now()

    @property
    def recording(self) -> Recording:
        return replace(self._recording, frames=tuple(self._frames))

    def opened(self, response: Response, /) -> None:
        self._recording = replace(self._recording, response=_without_body(response))

    def rejected(self, error: BaseException, /) -> None:
        response = _without_body(error.response) if isinstance(error, UpgradeRejected) else None
        self._recording = replace(self._recording, response=response, failure=f"{type(error).__name__}: {error}")

    def received(self, frame: Frame | Close, /) -> None:
        self._record("server", frame)

    def sent(self, frame: Frame | Close, /) -> None:
        self._record("client", frame)

    def closed(self, info: CloseInfo, /) -> None:
        info = replace(info, received=self._redacted(info.received), sent=self._redacted(info.sent))
        self._recording = replace(self._recording, closed=info)

    def _record(self, sender: Literal["client", "server"], frame: Frame | Close) -> None:
        seconds = round(self._now() - self._started_at, 6)
        self._frames.append(Recorded(seconds, sender, self._redact(frame)))

    def _redacted(self, close: Close | None) -> Close | None:
        redacted = None if close is None else self._redact(close)
        return redacted if isinstance(redacted, Close) else None


def _without_body(response: Response) -> Response:
    """Return a response without its body and its secrets."""
    return replace(response, headers=_without_secrets(response.headers), body=b"")


def _without_secrets(headers: Headers) -> Headers:
    return Headers((name, _without_secret(name, value)) for name, value in headers.pairs)


def _without_secret(name: str, value: str) -> str:
    if is_secret(name):
        return REDACTED
    pattern = _QUERY_OR_FRAGMENT if holds_url(name) else _QUERY
    return pattern.sub(rf"\1{REDACTED}", _USER.sub(f"{REDACTED}@", value))
