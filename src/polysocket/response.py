"""The server's answer to an opening handshake, as values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

from polysocket.headers import Headers
from polysocket.redaction import escaped

__all__ = ["Response", "WebSocketResponse"]
R_co = TypeVar("R_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Response:
    """The server's answer to an upgrade; ``body`` is the body of a rejection, at most 64 KiB of it."""

    status: int
    headers: Headers
    reason: str = ""
    subprotocol: str | None = None
    extensions: tuple[str, ...] = ()
    body: bytes = b""

    @property
    def status_line(self) -> str:
        """Status and reason, such as ``404 Not Found``, with control characters escaped."""
        return escaped(f"{self.status} {self.reason}").rstrip()


@dataclass(frozen=True, slots=True)
class WebSocketResponse(Response, Generic[R_co]):
    """The answer that opened a websocket, with the handler's ``result`` (sttp's ``WebSocketResponse``)."""

    result: R_co = field(kw_only=True)
