"""The opening handshake with arbitrary bytes in arbitrary chunks, and with websockets as the peer.

``InvalidUpgrade`` is the only error, and the chunking changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar
from unittest import mock

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHeader
from websockets.extensions.permessage_deflate import (
    ClientPerMessageDeflateFactory,
    PerMessageDeflate,
    ServerPerMessageDeflateFactory,
)
from websockets.headers import parse_extension
from websockets.http11 import Request as WebSocketsRequest
from websockets.http11 import Response as WebSocketsResponse
from websockets.protocol import OPEN
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from polysocket._core.client_handshake import ClientHandshake
from polysocket._core.handshake import Upgraded
from polysocket._core.header_fields import Extension, MalformedHeader, parse_extensions
from polysocket._core.server_handshake import ServerHandshake
from polysocket.compression import Deflate
from polysocket.request import basic_request
from polysocket.response import Response
from tests.handshakes import client_outcome, feed, server_outcome

T = TypeVar("T")

TOKEN = st.text("!#$%&'*+-.^_`|~019abYZ", min_size=1, max_size=8)
VALUE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_categories=["Cc"]), max_size=20)
FIELDS = st.lists(st.tuples(TOKEN.map("X-{}".format), VALUE.map(lambda value: value.strip(" \t"))), max_size=4)
HOSTS = st.lists(st.tuples(st.sampled_from(["Host", "hOST"]), VALUE), max_size=1)
SUBPROTOCOLS = st.lists(TOKEN, max_size=4, unique=True)
BITS = st.none() | st.integers(9, 15)  # websockets does not support windows of 8 bits
DEFLATE = st.builds(
    Deflate,
    server_no_context_takeover=st.booleans(),
    client_no_context_takeover=st.booleans(),
    server_max_window_bits=BITS,
    client_max_window_bits=BITS,
)
CUTS = st.lists(st.integers(1, 200), max_size=20)
FRAMES = st.binary(max_size=50)

REQUEST = basic_request.get("ws://example.com/chat?x=y").subprotocol("a", "b")
OPENING = (
    b"GET /chat HTTP/1.1\r\nHost: h:81\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: a, b\r\n"
    b'Sec-WebSocket-Extensions: foo; a="b\\c", permessage-deflate; client_max_window_bits\r\nOrigin: http://h\r\n\r\n'
)
UPGRADE = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: b\r\n"
    b'Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits="1\\0"\r\n\r\n\x81\x02hi'
)
ANSWERS = [
    UPGRADE,
    b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 10\r\n\r\n1234567890",
    b"HTTP/1.1 503 Not Now\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\n12345\r\n2\r\n67\r\n0\r\nA: b\r\n\r\n",
    b"HTTP/1.0 401 No\r\nWWW-Authenticate: Basic\r\n\r\nbody",
]
PIECES = st.sampled_from([*b'\r\n\t :,;"\\\0\x1b\xff01-/']).map(lambda byte: bytes([byte])) | st.sampled_from(
    [
        b"\r\n\r\n",
        b"\xc3\xa9",
        b"HTTP/1.1 100 x\r\n\r\n",
        b"Connection: close\r\n",
        b"Upgrade: h2c\r\n",
        b"Content-Length: 1\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Host: x\r\n",
        b"Sec-WebSocket-Version: 8\r\n",
    ]
)


@st.composite
def mutated(draw: st.DrawFn, originals: Sequence[bytes]) -> bytes:
    """Draw one of the handshakes, with some pieces removed, inserted or repeated."""
    data = draw(st.sampled_from(originals))
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 5)))
        piece = draw(PIECES | st.binary(max_size=3) | st.just(data[start : start + 40]))
        data = data[:start] + piece + data[end:]
    return data


def bytewise(data: bytes) -> list[int]:
    return [1] * len(data)


@given(st.binary(max_size=300) | st.binary(max_size=100).map(b"HTTP/1.1 101 ".__add__), CUTS)
def test_the_client_survives_arbitrary_bytes(reply: bytes, cuts: list[int]) -> None:
    assert client_outcome(reply, cuts) == client_outcome(reply) == client_outcome(reply, bytewise(reply))


@given(st.binary(max_size=300) | st.binary(max_size=100).map(b"GET / HTTP/1.1\r\nHost: h\r\n".__add__), CUTS)
def test_the_server_survives_arbitrary_bytes(data: bytes, cuts: list[int]) -> None:
    assert server_outcome(data, cuts) == server_outcome(data) == server_outcome(data, bytewise(data))


@given(mutated(ANSWERS), CUTS)
def test_the_client_survives_a_damaged_answer(reply: bytes, cuts: list[int]) -> None:
    assert client_outcome(reply, cuts) == client_outcome(reply) == client_outcome(reply, bytewise(reply))


@given(mutated([UPGRADE, UPGRADE.replace(b"Protocols", b"Protocols\r\nX-Other:\t\xe9 \r\nSet-Cookie:")]))
@example(UPGRADE.replace(b"\r\n\r\n", b"\r\nContent-length: 0\r\n\r\n"))
@example(UPGRADE.replace(b"\r\n\r\n", b"\r\ntransfer-encoding: gzip\r\n\r\n"))
def test_an_answer_is_read_as_h11_reads_it(reply: bytes) -> None:
    with mock.patch("polysocket._core.client_handshake.read_switch", return_value=None):
        by_h11 = client_outcome(reply)
    assert client_outcome(reply) == by_h11


@given(HOSTS, st.none() | VALUE, FIELDS, SUBPROTOCOLS, st.none() | DEFLATE)
def test_a_request_is_written_as_h11_writes_it(
    host: list[tuple[str, str]],
    user_agent: str | None,
    fields: list[tuple[str, str]],
    subprotocols: list[str],
    deflate: Deflate | None,
) -> None:
    request = basic_request.get("wss://h:8443/a?b=c").identify(user_agent).with_headers([*fields, *host])
    handshake = ClientHandshake(request.subprotocol(*subprotocols).compress(deflate))
    assert handshake.data_to_send() == handshake._exchange.data_to_send()


@given(mutated([OPENING]), CUTS)
def test_the_server_survives_a_damaged_request(data: bytes, cuts: list[int]) -> None:
    assert server_outcome(data, cuts) == server_outcome(data) == server_outcome(data, bytewise(data))


@pytest.mark.parametrize("reply", ANSWERS)
def test_an_undamaged_answer_is_accepted(reply: bytes) -> None:
    assert client_outcome(reply, bytewise(reply)) is not None


def test_an_undamaged_request_is_accepted() -> None:
    assert server_outcome(OPENING, bytewise(OPENING)) is not None


@given(
    subprotocols=SUBPROTOCOLS,
    offered=st.none() | DEFLATE,
    accepted=st.none() | DEFLATE,
    fields=st.tuples(FIELDS, FIELDS),
    early=FRAMES,
    late=FRAMES,
    data=st.data(),
)
def test_client_and_server_read_what_the_peer_sends(
    subprotocols: list[str],
    offered: Deflate | None,
    accepted: Deflate | None,
    fields: tuple[list[tuple[str, str]], list[tuple[str, str]]],
    early: bytes,
    late: bytes,
    data: st.DataObject,
) -> None:
    request = basic_request.get("wss://h:8443/a?b=c").subprotocol(*subprotocols).with_headers(fields[0])
    client, server = ClientHandshake(request.compress(offered)), ServerHandshake(accepted, None)

    heard, rest = feed(server.receive, client.data_to_send() + early, data.draw(CUTS))
    assert heard is not None
    assert (heard.target, heard.host, heard.subprotocols) == ("/a?b=c", "h:8443", tuple(subprotocols))
    assert heard.headers.pairs[-len(fields[0]) or len(heard.headers.pairs) :] == tuple(fields[0])

    subprotocol = data.draw(st.sampled_from([None, *subprotocols]))
    told = server.accept(subprotocol, fields[1])
    assert told.trailing + rest == early

    answer, rest = feed(client.receive, server.data_to_send() + late, data.draw(CUTS))
    assert isinstance(answer, Upgraded)
    assert answer.response == told.response
    assert answer.response.subprotocol == subprotocol
    assert answer.response.headers.pairs[-len(fields[1]) or len(answer.response.headers.pairs) :] == tuple(fields[1])
    assert answer.trailing + rest == late
    assert (answer.deflate is None) == (told.deflate is None)
    if answer.deflate is not None and told.deflate is not None:
        assert len(told.response.extensions) == 1


@given(st.integers(200, 599), FIELDS, st.binary(max_size=100), CUTS)
def test_a_rejection_is_received_with_its_body(
    status: int, fields: list[tuple[str, str]], body: bytes, cuts: list[int]
) -> None:
    client, server = ClientHandshake(REQUEST), ServerHandshake(None, None)
    server.receive(client.data_to_send())
    body = b"" if status in (204, 304) else body
    server.reject(status, fields, body)
    answer, _ = feed(client.receive, server.data_to_send(), cuts)
    assert isinstance(answer, Response)
    assert (answer.status, answer.body) == (status, body)
    assert list(answer.headers.pairs[: len(fields)]) == fields


# websockets as the peer


def known(names: Sequence[str]) -> list[Subprotocol] | None:
    return [Subprotocol(name) for name in names] or None


@given(
    offered=SUBPROTOCOLS,
    spoken=SUBPROTOCOLS,
    ours=st.none() | DEFLATE,
    theirs=st.none() | st.builds(ServerPerMessageDeflateFactory, st.booleans(), st.booleans(), BITS, BITS),
    late=FRAMES,
    cuts=CUTS,
)
@example([], [], Deflate(), ServerPerMessageDeflateFactory(), b"", [])
def test_a_client_can_open_a_websocket_with_a_server_of_websockets(
    offered: list[str],
    spoken: list[str],
    ours: Deflate | None,
    theirs: ServerPerMessageDeflateFactory | None,
    late: bytes,
    cuts: list[int],
) -> None:
    client = ClientHandshake(basic_request.get("ws://h/x?y").subprotocol(*offered).compress(ours).origin("http://o"))
    server = ServerProtocol(
        extensions=[theirs] if theirs else None,
        subprotocols=known(spoken),
        select_subprotocol=lambda _, names: next((name for name in names if name in spoken), None),
    )
    server.receive_data(client.data_to_send())
    (heard,) = server.events_received()
    assert isinstance(heard, WebSocketsRequest)
    assert (heard.path, heard.headers["Host"], heard.headers["Origin"]) == ("/x?y", "h", "http://o")
    server.send_response(server.accept(heard))
    assert server.state is OPEN

    answer, rest = feed(client.receive, b"".join(server.data_to_send()) + late, cuts)
    assert isinstance(answer, Upgraded)
    assert answer.response.subprotocol == server.subprotocol
    assert answer.trailing + rest == late
    assert_same_deflate(answer, server.extensions)


@given(
    offered=SUBPROTOCOLS,
    ours=st.none() | DEFLATE,
    theirs=st.none()
    | st.builds(ClientPerMessageDeflateFactory, st.booleans(), st.booleans(), BITS, st.none() | st.just(True) | BITS),
    early=FRAMES,
    cuts=CUTS,
    data=st.data(),
)
@example([], Deflate(), ClientPerMessageDeflateFactory(), b"", [], None)
def test_a_server_can_open_a_websocket_with_a_client_of_websockets(
    offered: list[str],
    ours: Deflate | None,
    theirs: ClientPerMessageDeflateFactory | None,
    early: bytes,
    cuts: list[int],
    data: st.DataObject | None,
) -> None:
    client = ClientProtocol(
        parse_uri("ws://h:81/x?y"), extensions=[theirs] if theirs else None, subprotocols=known(offered)
    )
    client.send_request(client.connect())
    server = ServerHandshake(ours, None)
    heard, rest = feed(server.receive, b"".join(client.data_to_send()) + early, cuts)
    assert heard is not None
    assert (heard.target, heard.host, heard.subprotocols) == ("/x?y", "h:81", tuple(offered))
    told = server.accept(data.draw(st.sampled_from([None, *offered])) if data else None)
    assert told.trailing + rest == early

    client.receive_data(server.data_to_send())
    (answer,) = client.events_received()
    assert isinstance(answer, WebSocketsResponse)
    assert client.handshake_exc is None
    assert client.state is OPEN
    assert client.subprotocol == told.response.subprotocol
    assert_same_deflate(told, client.extensions)


def assert_same_deflate(ours: Upgraded, theirs: Sequence[object]) -> None:
    """Check that both peers agreed on the same parameters."""
    assert (ours.deflate is not None) == bool(theirs)
    if ours.deflate is None:
        return
    (extension,) = theirs
    assert isinstance(extension, PerMessageDeflate)
    (text,) = ours.response.extensions
    (parsed,) = parse_extensions({"sec-websocket-extensions": [text]})
    told = dict(parsed.params)
    server = ("server_no_context_takeover" in told, int(told.get("server_max_window_bits") or 15))
    client = ("client_no_context_takeover" in told, int(told.get("client_max_window_bits") or 15))
    remote = (extension.remote_no_context_takeover, extension.remote_max_window_bits)
    local = (extension.local_no_context_takeover, extension.local_max_window_bits)
    assert {server, client} == {remote, local}


@given(st.lists(st.builds(Extension, TOKEN, st.lists(st.tuples(TOKEN, st.none() | TOKEN)).map(tuple)), min_size=1))
def test_extensions_are_read_as_they_were_written(extensions: list[Extension]) -> None:
    text = ", ".join(map(str, extensions))
    assert parse_extensions({"sec-websocket-extensions": [text]}) == extensions


@given(st.text('ab;=", \t\\é', max_size=16).map(lambda text: text.strip(" \t")))
@example('a; b="c\\d", e')
def test_extensions_are_read_as_websockets_reads_them(text: str) -> None:
    try:
        theirs = [Extension(name, tuple(params)) for name, params in parse_extension(text)]
    except InvalidHeader:
        theirs = []
    try:
        ours = parse_extensions({"sec-websocket-extensions": [text]})
    except MalformedHeader:
        ours = []
    assert ours == theirs
