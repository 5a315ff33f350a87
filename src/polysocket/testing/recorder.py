"""``RecordingBackend``: records real conversations, without their secrets.

Redacted are headers that may be secret by their names, query strings and user names in the values of the others, and of
frames what the user's ``redact`` takes out.
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
from polysocket.redaction import is_secret
from polysocket.request import Request
from polysocket.response import Response
from polysocket.testing.recording import Recorded, Recording, Redact, unchanged

__all__ = ["REDACTED", "RecordingBackend"]

F_co = TypeVar("F_co", covariant=True)

REDACTED: str = "[redacted]"
"""What stands in the place of a secret."""

_QUERY = re.compile(r"\?[^\s#]+")
_USER = re.compile(r"(?<=//)[^\s/?#]*@")


class RecordingBackend(ObservedBackend[F_co]):
    """A backend that wraps another one, and records what happens to the websockets that it opens.

    ``redact`` takes each frame, and gives it without what is secret in it.
    """

    def __init__(self, backend: Backend[F_co], *, redact: Redact = unchanged) -> None:
        self._recorder = _Recorder(backend._connector.effect.now, redact)
        super().__init__(backend, self._recorder)

    @property
    def recordings(self) -> tuple[Recording, ...]:
        """What was recorded so far, in the order of the openings."""
        return tuple(tape.recording for tape in self._recorder.tapes)


class _Recorder:
    def __init__(self, now: Callable[[], float], redact: Redact) -> None:
        self.tapes: list[_Tape] = []
        self._now = now
        self._redact = redact

    def opening(self, request: Request, /) -> Observation:
        tape = _Tape(request, self._now, self._redact)
        self.tapes.append(tape)
        return tape


class _Tape(Observation):
    def __init__(self, request: Request, now: Callable[[], float], redact: Redact) -> None:
        self._recording = Recording(str(request.url), _without_secrets(request.headers))
        self._frames: list[Recorded] = []
        self._now = now
        self._redact = redact
        self._begun = now()

    @property
    def recording(self) -> Recording:
        return replace(self._recording, frames=tuple(self._frames))

    def opened(self, response: Response, /) -> None:
        self._recording = replace(self._recording, response=_answered(response))

    def rejected(self, error: BaseException, /) -> None:
        response = _answered(error.response) if isinstance(error, UpgradeRejected) else None
        self._recording = replace(self._recording, response=response, failure=f"{type(error).__name__}: {error}")

    def received(self, frame: Frame | Close, /) -> None:
        self._record("server", frame)

    def sent(self, frame: Frame | Close, /) -> None:
        self._record("client", frame)

    def closed(self, info: CloseInfo, /) -> None:
        info = replace(info, received=self._redacted(info.received), sent=self._redacted(info.sent))
        self._recording = replace(self._recording, closed=info)

    def _record(self, sender: Literal["client", "server"], frame: Frame | Close) -> None:
        seconds = round(self._now() - self._begun, 6)
        self._frames.append(Recorded(seconds, sender, self._redact(frame)))

    def _redacted(self, close: Close | None) -> Close | None:
        redacted = None if close is None else self._redact(close)
        return redacted if isinstance(redacted, Close) else None


def _answered(response: Response) -> Response:
    """What is kept of an answer: all but its body, and its secrets."""
    return replace(response, headers=_without_secrets(response.headers), body=b"")


def _without_secrets(headers: Headers) -> Headers:
    return Headers((name, REDACTED if is_secret(name) else _without_query(value)) for name, value in headers.pairs)


def _without_query(value: str) -> str:
    return _QUERY.sub(f"?{REDACTED}", _USER.sub(f"{REDACTED}@", value))
