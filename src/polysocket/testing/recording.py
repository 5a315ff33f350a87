"""Recordings: a conversation as a value, and as lines of JSON, which version control and reviewers can compare.

The first line has the request and the response, the last one the end, and each line between them one frame.
:class:`~polysocket.testing.RecordingBackend` makes recordings. :class:`~polysocket.testing.WebSocketStub` replays them.
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
"""A function that returns a frame without its secrets."""

FORMAT: int = 1
"""The version of the format, in the first line of a file."""

MAX_SHOWN: int = 80
"""Characters of an invalid line in an error text: enough to recognize it."""


def unchanged(frame: Frame | Close) -> Frame | Close:
    """Return the frame itself: the :data:`Redact` of conversations without secrets."""
    return frame


@dataclass(frozen=True, slots=True)
class Recorded:
    """A frame, its sender, and the seconds from the start of the opening to the frame."""

    seconds: float
    sender: Literal["client", "server"]
    frame: Frame | Close


@dataclass(frozen=True, slots=True)
class Recording:
    """One conversation: the request, the response, the frames of both sides in their order, and the end."""

    url: str
    request_headers: Headers = Headers()  # noqa: RUF009 - immutable
    response: Response | None = None
    """The response, or the rejection, without its body; None if there was no response."""
    failure: str | None = None
    """The error of the opening; None if a websocket was opened."""
    frames: tuple[Recorded, ...] = ()
    closed: CloseInfo | None = None
    """How the websocket ended; None if it was still open."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the lines of JSON to a file, in UTF-8."""
        Path(path).write_text("".join(f"{line}\n" for line in self.lines()), encoding="utf-8")

    @staticmethod
    def load(path: str | os.PathLike[str]) -> Recording:
        """Read a file that :meth:`save` has written. Raise ValueError, which names the first invalid line."""
        # Not splitlines(), which also splits at U+2028 and others that may be within a string of JSON.
        return Recording.from_lines(Path(path).read_text(encoding="utf-8").rstrip("\n").split("\n"))

    def lines(self) -> Iterator[str]:
        """Yield the lines of JSON."""
        yield _to_json(
            {
                "polysocket": FORMAT,
                "url": self.url,
                "request_headers": self.request_headers.pairs,
                "response": None if self.response is None else _encode_response(self.response),
                "failure": self.failure,
            }
        )
        for each in self.frames:
            yield _to_json({"seconds": each.seconds, each.sender: _encode_frame(each.frame)})
        if self.closed is not None:
            yield _to_json({"closed": _encode_close_info(self.closed)})

    @staticmethod
    def from_lines(lines: list[str]) -> Recording:
        """Return the recording with these :meth:`lines`. Raise ValueError, which names the first invalid line."""
        recording, frames, closed = None, list[Recorded](), None
        for number, line in enumerate(lines, 1):
            try:
                value = json.loads(line)
                if recording is None:
                    recording = _decode_first(value)
                elif "closed" in value:
                    closed = _decode_close_info(value["closed"])
                else:
                    frames.append(_decode_recorded(value))
            except (KeyError, TypeError, ValueError) as error:
                shown = line if len(line) <= MAX_SHOWN else f"{line[:MAX_SHOWN]}…"
                raise ValueError(f"line {number} is not a line of a recording: {shown!r}") from error
        if recording is None:
            raise ValueError("a recording has at least one line")
        return replace(recording, frames=tuple(frames), closed=closed)


def _to_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _decode_first(line: Any) -> Recording:
    if line["polysocket"] != FORMAT:
        raise ValueError(f"the recording has format {line['polysocket']!r}, but this version reads format {FORMAT}")
    response = None if line["response"] is None else _decode_response(line["response"])
    return Recording(line["url"], _decode_headers(line["request_headers"]), response, line["failure"])


def _decode_recorded(line: Any) -> Recorded:
    sender: Literal["client", "server"] = "client" if "client" in line else "server"
    return Recorded(float(line["seconds"]), sender, _decode_frame(line[sender]))


def _encode_response(response: Response) -> dict[str, object]:
    return {
        "status": response.status,
        "reason": response.reason,
        "headers": response.headers.pairs,
        "subprotocol": response.subprotocol,
        "extensions": response.extensions,
    }


def _decode_response(value: Any) -> Response:
    return Response(
        int(value["status"]),
        _decode_headers(value["headers"]),
        value["reason"],
        value["subprotocol"],
        tuple(value["extensions"]),
    )


def _decode_headers(pairs: Any) -> Headers:
    return Headers((str(name), str(value)) for name, value in pairs)


def _encode_frame(frame: Frame | Close) -> dict[str, object]:
    match frame:
        case Text(payload, final):
            return {"text": payload} if final else {"text": payload, "final": False}
        case Binary(payload, final):
            return {"binary": _encode_base64(payload)} if final else {"binary": _encode_base64(payload), "final": False}
        case Ping(payload):
            return {"ping": _encode_base64(payload)}
        case Pong(payload):
            return {"pong": _encode_base64(payload)}
        case Close(code, reason):
            return {"close": int(code), "reason": reason}


def _encode_base64(payload: bytes) -> str:
    return base64.b64encode(payload).decode("ascii")


def _decode_base64(payload: str) -> bytes:
    return base64.b64decode(payload, validate=True)


def _decode_frame(value: Any) -> Frame | Close:
    final = bool(value.get("final", True))
    match value:
        case {"text": str(payload)}:
            return Text(payload, final)
        case {"binary": str(payload)}:
            return Binary(_decode_base64(payload), final)
        case {"ping": str(payload)}:
            return Ping(_decode_base64(payload))
        case {"pong": str(payload)}:
            return Pong(_decode_base64(payload))
        case {"close": int(code), "reason": str(reason)}:
            return Close(code, reason)
        case _:
            raise ValueError("the kind of frame is unknown")


def _encode_close_info(info: CloseInfo) -> dict[str, object]:
    return {
        "initiator": info.initiator.value,
        "cause": info.cause.value,
        "received": None if info.received is None else _encode_frame(info.received),
        "sent": None if info.sent is None else _encode_frame(info.sent),
        "detail": info.detail,
    }


def _decode_close_info(value: Any) -> CloseInfo:
    received, sent = (
        None if close is None else Close(close["close"], close["reason"])
        for close in (value["received"], value["sent"])
    )
    return CloseInfo(Side(value["initiator"]), CloseCause(value["cause"]), received, sent, value["detail"])
