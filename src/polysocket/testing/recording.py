"""Recordings: a conversation as a value, and its lines of JSON, one for each frame between the first and the last.

:class:`~polysocket.testing.RecordingBackend` makes them, and a :class:`~polysocket.testing.WebSocketStub` replays them.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from polysocket.close_info import CloseCause, CloseInfo, Side
from polysocket.frames import Binary, Close, Frame, Ping, Pong, Text
from polysocket.headers import Headers
from polysocket.response import Response

__all__ = ["Recorded", "Recording", "Redact", "unchanged"]

Redact = Callable[[Frame | Close], Frame | Close]
"""Takes a frame, and gives it without what is secret in it."""

FORMAT: int = 1
SHOWN: int = 80  # characters of a line that is none


def unchanged(frame: Frame | Close) -> Frame | Close:
    """The :data:`Redact` of whoever has no secrets in frames."""
    return frame


@dataclass(frozen=True, slots=True)
class Recorded:
    """A frame, who sent it, and how many seconds after the opening was begun."""

    seconds: float
    sender: Literal["client", "server"]
    frame: Frame | Close


@dataclass(frozen=True, slots=True)
class Recording:
    """One conversation: what was asked for, what was answered, and the frames of both sides in their order.

    ``response`` is also that of a rejection (without its body), and None where none came; ``failure`` says why there
    was no websocket. ``closed`` is how it ended, and None where it was still open.
    """

    url: str
    request_headers: Headers = Headers()  # noqa: RUF009 - immutable
    response: Response | None = None
    failure: str | None = None
    frames: tuple[Recorded, ...] = ()
    closed: CloseInfo | None = None

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it to a file, as lines of JSON in UTF-8."""
        Path(path).write_text("".join(f"{line}\n" for line in self.lines()), encoding="utf-8")

    @staticmethod
    def load(path: str | os.PathLike[str]) -> Recording:
        """Read what :meth:`save` has written; raises ValueError, which names the line, for anything else."""
        # Not splitlines(): it splits at characters that JSON leaves as they are.
        return Recording.from_lines(Path(path).read_text(encoding="utf-8").rstrip("\n").split("\n"))

    def lines(self) -> Iterator[str]:
        """The lines of JSON."""
        yield _dumped(
            {
                "polysocket": FORMAT,
                "url": self.url,
                "request_headers": self.request_headers.pairs,
                "response": None if self.response is None else _of_response(self.response),
                "failure": self.failure,
            }
        )
        for each in self.frames:
            yield _dumped({"seconds": each.seconds, each.sender: _of_frame(each.frame)})
        if self.closed is not None:
            yield _dumped({"closed": _of_close_info(self.closed)})

    @staticmethod
    def from_lines(lines: list[str]) -> Recording:
        """The recording that :meth:`lines` are of; raises ValueError for any others."""
        recording = None
        for number, line in enumerate(lines, 1):
            try:
                recording = _with_line(recording, json.loads(line))
            except (KeyError, TypeError, ValueError) as error:
                shown = line if len(line) <= SHOWN else f"{line[:SHOWN]}…"
                raise ValueError(f"line {number} is not one of a recording: {shown!r}") from error
        assert recording is not None, "a line that does not begin a recording is an error"
        return recording


def _dumped(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _with_line(recording: Recording | None, line: Any) -> Recording:
    """The recording with what one more line says."""
    if recording is None:
        if line["polysocket"] != FORMAT:
            raise ValueError(f"this is format {line['polysocket']!r}, and {FORMAT} is what can be read")
        response = None if line["response"] is None else _to_response(line["response"])
        return Recording(line["url"], _to_headers(line["request_headers"]), response, line["failure"])
    if "closed" in line:
        return replace(recording, closed=_to_close_info(line["closed"]))
    sender: Literal["client", "server"] = "client" if "client" in line else "server"
    recorded = Recorded(float(line["seconds"]), sender, _to_frame(line[sender]))
    return replace(recording, frames=(*recording.frames, recorded))


def _of_response(response: Response) -> dict[str, object]:
    return {
        "status": response.status,
        "reason": response.reason,
        "headers": response.headers.pairs,
        "subprotocol": response.subprotocol,
        "extensions": response.extensions,
    }


def _to_response(value: Any) -> Response:
    return Response(
        int(value["status"]),
        _to_headers(value["headers"]),
        value["reason"],
        value["subprotocol"],
        tuple(value["extensions"]),
    )


def _to_headers(pairs: Any) -> Headers:
    return Headers((str(name), str(value)) for name, value in pairs)


def _of_frame(frame: Frame | Close) -> dict[str, object]:
    match frame:
        case Text(payload, final):
            return {"text": payload} if final else {"text": payload, "final": False}
        case Binary(payload, final):
            return {"binary": _base64(payload)} if final else {"binary": _base64(payload), "final": False}
        case Ping(payload):
            return {"ping": _base64(payload)}
        case Pong(payload):
            return {"pong": _base64(payload)}
        case Close(code, reason):
            return {"close": int(code), "reason": reason}


def _base64(payload: bytes) -> str:
    return base64.b64encode(payload).decode("ascii")


def _to_frame(value: Any) -> Frame | Close:
    final = bool(value.get("final", True))
    match value:
        case {"text": str(payload)}:
            return Text(payload, final)
        case {"binary": str(payload)}:
            return Binary(base64.b64decode(payload, validate=True), final)
        case {"ping": str(payload)}:
            return Ping(base64.b64decode(payload, validate=True))
        case {"pong": str(payload)}:
            return Pong(base64.b64decode(payload, validate=True))
        case {"close": int(code), "reason": str(reason)}:
            return Close(code, reason)
        case _:
            raise ValueError("no frame that is known")


def _of_close_info(info: CloseInfo) -> dict[str, object]:
    return {
        "initiator": info.initiator.value,
        "cause": info.cause.value,
        "received": None if info.received is None else _of_frame(info.received),
        "sent": None if info.sent is None else _of_frame(info.sent),
        "detail": info.detail,
    }


def _to_close_info(value: Any) -> CloseInfo:
    received, sent = (
        None if close is None else Close(close["close"], close["reason"])
        for close in (value["received"], value["sent"])
    )
    return CloseInfo(Side(value["initiator"]), CloseCause(value["cause"]), received, sent, value["detail"])
