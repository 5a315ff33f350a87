"""Opening handshakes as tests drive them: the bytes of one role arrive at the other in chunks."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar
from unittest import mock

import pytest

from polysocket._core.client_handshake import ClientHandshake
from polysocket._core.handshake import Upgraded, accept_value
from polysocket._core.http1 import MAX_BODY
from polysocket._core.server_handshake import ServerHandshake, UpgradeRequest
from polysocket.compression import Deflate
from polysocket.errors import InvalidUpgrade
from polysocket.headers import Headers
from polysocket.request import Request, basic_request
from polysocket.response import Response

T = TypeVar("T")

REQUEST = basic_request.get("ws://example.com/chat?token=secret").subprotocol("a", "b")
PLAIN = REQUEST.compress(None)
SWITCHING = "HTTP/1.1 101 Switching Protocols"
GOOD = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Accept: {accept}")
SAMPLE_KEY, SAMPLE_ACCEPT = "dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # RFC 6455 §1.3
EXTENSIONS = "Sec-WebSocket-Extensions"
COMPRESSED = f"{EXTENSIONS}: permessage-deflate"
CHUNKS = (1, 2, 3, 7, 40, 1000)


def http(first: str, *lines: str, rest: bytes = b"") -> bytes:
    return "\r\n".join([first, *lines, "", ""]).encode("latin-1") + rest


def switching(*lines: str, without: str = "-", first: str = SWITCHING, rest: bytes = b"") -> bytes:
    """Return a 101 with ``{accept}`` for the expected value, with more lines and without the fields of a name."""
    kept = [line for line in GOOD if not line.startswith(without)]
    return http(first, *kept, *lines, rest=rest)


def begin(request: Request) -> tuple[ClientHandshake, Headers]:
    """Start a client's handshake; return it with the headers that it sent."""
    handshake = ClientHandshake(request)
    fields = handshake.data_to_send().decode("latin-1").split("\r\n")[1:-2]
    return handshake, Headers((name, value) for name, _, value in (field.partition(": ") for field in fields))


def answer(
    reply: bytes, request: Request = REQUEST, chunk: int | None = None, *, end: bool = False
) -> tuple[Upgraded | Response | None, bytes]:
    """Feed a client a reply in chunks of a size, then EOF; return its result with the bytes not taken."""
    handshake, sent = begin(request)
    reply = reply.replace(b"{accept}", accept_value(sent["Sec-WebSocket-Key"]).encode())
    size = chunk or len(reply) or 1
    for start in range(0, len(reply), size):
        result = handshake.receive(reply[start : start + size])
        if result is not None:
            return result, reply[start + size :]
    return handshake.receive(b"") if end else None, b""


def upgraded(reply: bytes, request: Request = REQUEST, chunk: int | None = None) -> Upgraded:
    result, rest = answer(reply, request, chunk)
    assert isinstance(result, Upgraded)
    return replace(result, trailing=result.trailing + rest)


def rejected(reply: bytes, chunk: int | None = None, *, end: bool = False) -> Response:
    result, _ = answer(reply, REQUEST, chunk, end=end)
    assert isinstance(result, Response)
    return result


def message(error: Exception) -> str:
    """Return an error's text without the key, and without the shown bytes, of which a bigger chunk has more."""
    return re.sub(r"\bb['\"].*|'[\w/+]{27}=' was due", "…", str(error))


OPENING = (
    "Host: example.com:81",
    "Upgrade: websocket",
    "Connection: Upgrade",
    f"Sec-WebSocket-Key: {SAMPLE_KEY}",
    "Sec-WebSocket-Version: 13",
)


def opening(
    *lines: str, without: str = "-", first: str = "GET /chat?token=secret HTTP/1.1", rest: bytes = b""
) -> bytes:
    """Return a client's opening handshake with more lines and without the fields of a name."""
    return http(first, *(line for line in OPENING if not line.startswith(without)), *lines, rest=rest)


DEFLATE = Deflate()


def serve(
    data: bytes, chunk: int | None = None, *, compression: Deflate | None = DEFLATE
) -> tuple[ServerHandshake, UpgradeRequest, bytes]:
    """Feed a server the request; return it with the bytes not taken."""
    handshake = ServerHandshake(compression, None)
    size = chunk or len(data)
    for start in range(0, len(data), size):
        request = handshake.receive(data[start : start + size])
        assert handshake.data_to_send() == b""
        if request is not None:
            return handshake, request, data[start + size :]
    raise AssertionError("the request is not complete")


def refusal(data: bytes, chunk: int | None = None, *, end: bool = False) -> tuple[InvalidUpgrade, bytes]:
    handshake = ServerHandshake(DEFLATE, None)
    size = chunk or len(data) or 1
    with pytest.raises(InvalidUpgrade) as caught:  # noqa: PT012
        for start in range(0, len(data), size):
            assert handshake.receive(data[start : start + size]) is None
        if end:
            handshake.receive(b"")
    sent = handshake.data_to_send()
    assert handshake.data_to_send() == b""
    with pytest.raises(RuntimeError, match="belong to the connection"):
        handshake.receive(b"x")
    with pytest.raises(RuntimeError, match="there is no request"):
        handshake.accept()
    return caught.value, sent


# The outcome in any chunking


def feed(receive: Callable[[bytes], T | None], data: bytes, cuts: Sequence[int]) -> tuple[T | None, bytes]:
    """Receive the data in chunks, then EOF; return the result and the bytes that are left."""
    position = 0
    for cut in [*cuts, len(data)]:
        chunk, position = data[position : position + cut], position + cut
        if chunk and (result := receive(chunk)) is not None:
            return result, data[position:]
    return receive(b""), b""


def client_outcome(reply: bytes, cuts: Sequence[int] = (), request: Request = REQUEST) -> Upgraded | Response | None:
    """Return the client's result for the reply, in which ``{accept}`` is the value that is due; None if refused."""
    with mock.patch("polysocket._core.client_handshake.os.urandom", return_value=b64decode(SAMPLE_KEY)):
        handshake, _ = begin(request)
    result: Upgraded | Response | None
    try:
        result, rest = feed(handshake.receive, reply.replace(b"{accept}", SAMPLE_ACCEPT.encode()), cuts)
    except InvalidUpgrade:
        return None
    if isinstance(result, Upgraded):
        return Upgraded(result.response, None, result.trailing + rest)
    assert result is not None
    assert len(result.body) <= MAX_BODY
    assert handshake.rejection == result
    return result


def server_outcome(data: bytes, cuts: Sequence[int] = ()) -> tuple[UpgradeRequest, Response, bytes] | None:
    """Return the server's view of the request, its answer and the bytes after the request; None after a refusal."""
    handshake = ServerHandshake(Deflate(), None)
    try:
        request, rest = feed(handshake.receive, data, cuts)
    except InvalidUpgrade:
        assert handshake.data_to_send().startswith(b"HTTP/1.1 ")
        return None
    assert request is not None
    result = handshake.accept()
    return request, result.response, result.trailing + rest
