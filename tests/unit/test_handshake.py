"""The opening handshake, demand by demand (RFC 6455 §4), for both roles; each reply in every chunking.

What one side writes is read here by the other, and the property tests put foreign implementations there.
"""

from __future__ import annotations

import base64
import contextlib
import re
import traceback
from collections.abc import Callable
from dataclasses import replace

import h11
import pytest

from polysocket._core.client_handshake import ClientHandshake
from polysocket._core.handshake import Upgraded, accept_value
from polysocket._core.header_fields import (
    Extension,
    Fields,
    MalformedHeader,
    by_name,
    encode_fields,
    parse_extensions,
    parse_tokens,
    single,
)
from polysocket._core.http1 import MAX_BODY, MAX_HEADER
from polysocket._core.redirect import is_redirect, redirected
from polysocket._core.server_handshake import ServerHandshake, UpgradeRequest
from polysocket.compression import Deflate
from polysocket.errors import InvalidRequest, InvalidUpgrade, InvalidURL, RedirectRefused, UpgradeRejected
from polysocket.headers import Headers
from polysocket.request import Request, basic_request
from polysocket.response import Response
from polysocket.url import WebSocketURL

REQUEST = basic_request.get("ws://example.com/chat?token=secret").subprotocol("a", "b")
PLAIN = REQUEST.compress(None)
SWITCHING = "HTTP/1.1 101 Switching Protocols"
GOOD = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Accept: {accept}")
SAMPLE_KEY, SAMPLE_ACCEPT = "dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # RFC 6455 §1.3
CHUNKS = (1, 2, 3, 7, 40, 1000)


def http(first: str, *lines: str, behind: bytes = b"") -> bytes:
    return "\r\n".join([first, *lines, "", ""]).encode("latin-1") + behind


def switching(*lines: str, without: str = "-", first: str = SWITCHING, behind: bytes = b"") -> bytes:
    """Return a 101 with ``{accept}`` for the value due, with more lines and without the fields of a name."""
    kept = [line for line in GOOD if not line.startswith(without)]
    return http(first, *kept, *lines, behind=behind)


def begin(request: Request) -> tuple[ClientHandshake, Headers]:
    """Begin a client's handshake; return it with the headers that it sent."""
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


# The client


def test_the_request_is_a_get_of_the_resource_name_with_what_rfc_6455_demands() -> None:
    """§4.1: the method, the version, and the fields that must be there."""
    handshake = ClientHandshake(REQUEST.header("X", "y").origin("http://example.com"))
    lines = handshake.data_to_send().decode().split("\r\n")
    key = lines[4].removeprefix("Sec-WebSocket-Key: ")
    assert lines == [
        "GET /chat?token=secret HTTP/1.1",
        "Host: example.com",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key}",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Protocol: a, b",
        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
        "X: y",
        "Origin: http://example.com",
        "",
        "",
    ]
    assert len(base64.b64decode(key, validate=True)) == 16
    assert handshake.data_to_send() == b""


def test_each_handshake_has_a_key_of_its_own() -> None:
    assert len({begin(REQUEST)[1]["Sec-WebSocket-Key"] for _ in range(20)}) == 20


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("ws://example.com:80/", "example.com"),
        ("wss://example.com:443/", "example.com"),
        ("wss://example.com:80/", "example.com:80"),
        ("ws://[::1]:9000/", "[::1]:9000"),
        ("ws://bücher.example/", "xn--bcher-kva.example"),
    ],
)
def test_the_host_header_has_a_port_where_the_scheme_has_another(url: str, host: str) -> None:
    assert begin(basic_request.get(url))[1].get_all("Host") == [host]


def test_a_host_set_by_hand_is_the_only_one() -> None:
    assert begin(REQUEST.header("host", "other.example"))[1].get_all("Host") == ["other.example"]


def test_no_subprotocols_and_no_compression_are_no_header() -> None:
    sent = begin(basic_request.get("ws://h").compress(None))[1]
    assert "Sec-WebSocket-Protocol" not in sent
    assert "Sec-WebSocket-Extensions" not in sent


def test_header_values_are_sent_one_byte_a_character_and_without_outer_white_space() -> None:
    assert b"\r\nX: \xe9t\xe9\r\n" in ClientHandshake(REQUEST.header("X", " \tété ")).data_to_send()


URL = WebSocketURL.parse("ws://h/")


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        pytest.param(basic_request, "has no URL", id="no URL"),
        pytest.param(Request(URL, Headers([("Upgrade", "h2c")])), "Upgrade header can't be set", id="Upgrade"),
        pytest.param(Request(URL, Headers([("X", "a\r\nY: b")])), "header X has a character", id="injected header"),
        pytest.param(Request(URL, Headers([("X", "€")])), "header X has a character", id="not latin-1"),
        pytest.param(Request(URL, subprotocols=("a b",)), "'a b' is not a subprotocol", id="subprotocol"),
        pytest.param(Request(replace(URL, target="/a b")), "Illegal target", id="target"),
        pytest.param(Request(replace(URL, target="/é")), "can't be sent", id="target not in ASCII"),
        pytest.param(Request(replace(URL, host="h\n")), "header Host has a character", id="host"),
        pytest.param(REQUEST.header("Host", "a").header("Host", "b"), "multiple Host", id="two Hosts"),
    ],
)
def test_a_request_that_cannot_be_sent_is_refused_before_anything_is(request_: Request, why: str) -> None:
    with pytest.raises(InvalidRequest, match=re.escape(why)):
        ClientHandshake(request_)


def test_the_accept_value_is_that_of_the_rfc() -> None:
    assert accept_value(SAMPLE_KEY) == SAMPLE_ACCEPT


@pytest.mark.parametrize("chunk", [None, *CHUNKS])
def test_a_101_upgrades_with_its_headers_and_the_bytes_behind_it(chunk: int | None) -> None:
    lines = ("Sec-WebSocket-Protocol: b", "Set-Cookie: a=1", "Set-Cookie: b=2", "X-Unicode: é")
    result = upgraded(switching(*lines, behind=b"\x81\x02hi\r\n\r\n"), chunk=chunk)
    assert result.trailing == b"\x81\x02hi\r\n\r\n"
    assert (result.response.status, result.response.reason) == (101, "Switching Protocols")
    assert result.response.subprotocol == "b"
    assert result.response.extensions == ()
    assert result.deflate is None
    assert result.response.headers.get_all("set-cookie") == ["a=1", "b=2"]
    assert result.response.headers["X-Unicode"] == "é"
    assert [name for name, _ in result.response.headers.pairs][:2] == ["Upgrade", "Connection"]


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(switching(without="Upgrade", first=SWITCHING + "\r\nuPGRADE: WebSocket"), id="case of Upgrade"),
        pytest.param(switching("Upgrade: WEBSOCKET"), id="Upgrade twice"),
        pytest.param(switching("Connection: keep-alive, uPGrade", without="Connection"), id="list in Connection"),
        pytest.param(switching("Connection: x", "Connection:,upgrade,", without="Connection"), id="Connection twice"),
        pytest.param(switching("Connection: x"), id="more Connection"),
        pytest.param(switching(first="HTTP/1.1 101"), id="no reason"),
        pytest.param(switching(first="HTTP/1.1 101 \xe9\x80"), id="reason not in ASCII"),
        pytest.param(switching("X: \xff\x80"), id="value not in ASCII"),
        pytest.param(switching("Content-Length: 5", behind=b"12345"), id="Content-Length in a 101"),
        pytest.param(http("HTTP/1.1 100 Continue") + switching(), id="100 before it"),
        pytest.param(http("HTTP/1.1 103 Early Hints", "ByteStream: x") * 3 + switching(), id="three 103 before it"),
        pytest.param(switching(first="HTTP/1.2 101 Switching Protocols"), id="HTTP/1.2"),
        pytest.param(switching().replace(b"\r\n", b"\n"), id="bare line feeds"),
    ],
)
@pytest.mark.parametrize("chunk", [None, 1])
def test_a_101_may_be_written_in_many_ways(reply: bytes, chunk: int | None) -> None:
    assert upgraded(reply, chunk=chunk).response.status == 101


def test_a_101_may_take_the_compression_that_was_offered() -> None:
    result = upgraded(switching('Sec-WebSocket-Extensions: permessage-deflate ; client_max_window_bits="12"'))
    assert result.response.extensions == ("permessage-deflate; client_max_window_bits=12",)
    assert result.deflate is not None
    assert result.deflate.parameters.client_max_window_bits == 12


COMPRESSED = "Sec-WebSocket-Extensions: permessage-deflate"

CLIENT_REFUSALS = {
    "no Upgrade": (switching(without="Upgrade"), "the server's 101 must have Upgrade: websocket, but has none"),
    "wrong Upgrade": (
        switching("Upgrade: h2c", without="Upgrade"),
        "the server's 101 must have Upgrade: websocket, but has 'h2c'",
    ),
    # §4.1: not a list in which websocket is one of many
    "more Upgrade": (switching("Upgrade: h2c"), "must have Upgrade: websocket, but has 'websocket, h2c'"),
    "bad Upgrade": (switching("Upgrade: a b"), "the server's Upgrade header is malformed: 'b' at character 3"),
    "empty Upgrade": (switching("Upgrade:", without="Upgrade"), "the server's Upgrade header is empty"),
    "Upgrade not ASCII": (switching("Upgrade: \xe9"), "Upgrade header is malformed: 'é' at character 1"),
    "no Connection": (switching(without="Connection"), "the server's 101 must have Connection: Upgrade, but has none"),
    "wrong Connection": (
        switching("Connection: keep-alive", without="Connection"),
        "the server's 101 must have Connection: Upgrade, but has 'keep-alive'",
    ),
    "near Connection": (
        switching("Connection: Upgraded", without="Connection"),
        "Connection: Upgrade, but has 'Upgraded'",
    ),
    "Connection not ASCII": (switching("Connection: \xff"), "Connection header is malformed"),
    "no accept": (switching(without="Sec"), "the server's 101 has no Sec-WebSocket-Accept header"),
    "wrong accept": (
        switching(f"Sec-WebSocket-Accept: {SAMPLE_ACCEPT}", without="Sec"),
        f"the server's Sec-WebSocket-Accept is '{SAMPLE_ACCEPT}', but '",
    ),
    "accept not ASCII": (switching("Sec-WebSocket-Accept: \xe9", without="Sec"), "Sec-WebSocket-Accept is 'é', but '"),
    "two accepts": (
        switching("Sec-WebSocket-Accept: {accept}"),
        "the server's Sec-WebSocket-Accept header comes 2 times, but may come only once",
    ),
    "foreign subprotocol": (
        switching("Sec-WebSocket-Protocol: c"),
        "the server chose subprotocol 'c', which was not offered (offered: 'a', 'b')",
    ),
    "subprotocol in another case": (switching("Sec-WebSocket-Protocol: A"), "chose subprotocol 'A', which was not"),
    "subprotocol not ASCII": (switching("Sec-WebSocket-Protocol: \xe4"), "chose subprotocol 'ä', which was not"),
    "empty subprotocol": (switching("Sec-WebSocket-Protocol:"), "chose subprotocol '', which was not offered"),
    "two subprotocols": (
        switching("Sec-WebSocket-Protocol: a, b"),
        "the server must choose one subprotocol, but chose 'a, b'",
    ),
    "two subprotocol headers": (
        switching("Sec-WebSocket-Protocol: a", "Sec-WebSocket-Protocol: a"),
        "the server's Sec-WebSocket-Protocol header comes 2 times",
    ),
    "foreign extension": (
        switching("Sec-WebSocket-Extensions: x-webkit-deflate-frame"),
        "chose extension 'x-webkit-deflate-frame', which was not offered (offered: 'permessage-deflate')",
    ),
    "extension twice": (switching(f"{COMPRESSED}, permessage-deflate"), "chose extension 'permessage-deflate' 2 times"),
    "two extension headers": (switching(COMPRESSED, COMPRESSED), "Sec-WebSocket-Extensions header comes 2 times"),
    "empty extensions": (
        switching("Sec-WebSocket-Extensions: ,"),
        "the server's Sec-WebSocket-Extensions header is empty",
    ),
    "bad extensions": (
        switching(f"{COMPRESSED};"),
        "Sec-WebSocket-Extensions header is malformed: ';' at character 19",
    ),
    "extensions not ASCII": (switching(f"{COMPRESSED}\xff"), "malformed: 'ÿ' at character 19"),
    "quoted value is no token": (
        switching(f'{COMPRESSED}; server_max_window_bits="1,2"'),
        "Sec-WebSocket-Extensions header has a quoted value that is not a token",
    ),
    "window bits of text": (switching(f"{COMPRESSED}; server_max_window_bits=abc"), "server_max_window_bits"),
    "window bits too few": (switching(f"{COMPRESSED}; server_max_window_bits=7"), "server_max_window_bits"),
    "unknown parameter": (switching(f"{COMPRESSED}; foo"), "permessage-deflate: there is no parameter 'foo'"),
    "HTTP/1.0": (
        switching(first="HTTP/1.0 101 Switching Protocols"),
        "the server answered 101 in HTTP/1.0, but only HTTP/1.1 can upgrade",
    ),
    "HTTP/2.0": (switching(first="HTTP/2.0 101 x"), "the server answered 101 in HTTP/2.0"),
    "SSH": (b"SSH-2.0-OpenSSH_9.6\r\n", "the server answered with something that is not HTTP: b"),
    "HTTP in lower case": (b"http/1.1 101 x\r\n\r\n", "the server answered with something that is not HTTP: b"),
    "a frame": (b"\x81\x02hi", "the server answered with something that is not HTTP: b"),
    "TLS alert": (b"\x15\x03\x01\x00\x02\x02\x46", "the server answered with something that is not HTTP: b"),
    "no status": (b"HTTP/1.1 abc\r\n\r\n", "the server's answer is not valid HTTP (illegal first line): b"),
    "status under 100": (b"HTTP/1.1 099 x\r\n\r\n", "the server's answer is not valid HTTP ("),
    "bytes behind a 1xx": (http("HTTP/1.1 100 x", behind=b"\x00\x01\r\n\r\n"), "(illegal first line)"),
    "blank line behind a 1xx": (http("HTTP/1.1 100 x", behind=b"\r\n\r\n"), "(illegal first line)"),
    "bad header": (switching("Set-Cookie : secret"), "answer is not valid HTTP (illegal header line, Set-Cookie): b"),
    "NUL in a header": (switching("X: a\0b"), "the server's answer is not valid HTTP (illegal header line, X): b"),
    "no header": (switching("secret"), "the server's answer is not valid HTTP (illegal header line): b"),
    "two lengths": (http("HTTP/1.1 404 x", "Content-Length: 1, 2"), "(conflicting Content-Length headers)"),
    "unknown coding": (http("HTTP/1.1 404 x", "Transfer-Encoding: gzip"), "Only Transfer-Encoding: chunked"),
}


@pytest.mark.parametrize("name", CLIENT_REFUSALS)
def test_the_client_refuses_an_answer_that_breaks_rfc_6455_and_says_why(name: str) -> None:
    reply, why = CLIENT_REFUSALS[name]
    with pytest.raises(InvalidUpgrade, match=re.escape(why)) as caught:
        answer(reply)
    assert "secret" not in "".join(traceback.format_exception(caught.value))
    for chunk in CHUNKS:
        with pytest.raises(InvalidUpgrade) as again:
            answer(reply, chunk=chunk)
        assert message(again.value) == message(caught.value)


def test_what_is_no_http_is_shown_escaped_and_cut() -> None:
    with pytest.raises(InvalidUpgrade) as caught:
        answer(b"SSH-2.0-\xff\x1b[31m-a-very-long-name-of-a-server-and-more\r\n")
    assert str(caught.value) == (
        r"the server answered with something that is not HTTP: b'SSH-2.0-\xff\x1b[31m-a-very-long-name-of-a-ser'…"
    )


def test_what_is_no_http_but_tls_is_named() -> None:
    with pytest.raises(
        InvalidUpgrade,
        match=re.escape(r"not HTTP: b'\x15\x03\x01' (which looks like TLS: the URL may have to"),
    ):
        answer(b"\x15\x03\x01")


def test_an_echo_of_the_request_does_not_put_its_secrets_into_the_message() -> None:
    """A TCP echo server sends back the query and the Authorization."""
    handshake = ClientHandshake(REQUEST.bearer_auth("secret"))
    with pytest.raises(InvalidUpgrade, match=re.escape("not HTTP: b'GET /chat'…")) as caught:
        handshake.receive(handshake.data_to_send())
    assert "secret" not in str(caught.value)


def test_h11_names_the_breach_as_the_cause() -> None:
    with pytest.raises(InvalidUpgrade) as caught:
        answer(CLIENT_REFUSALS["bad header"][0])
    assert isinstance(caught.value.__cause__, h11.RemoteProtocolError)
    assert str(caught.value.__cause__) == "illegal header line, Set-Cookie"


def test_a_long_value_is_cut_in_the_message() -> None:
    with pytest.raises(InvalidUpgrade) as caught:
        answer(switching("Sec-WebSocket-Protocol: " + "x" * 5000))
    assert len(str(caught.value)) < 200


def test_nothing_is_offered_where_nothing_is_named() -> None:
    with pytest.raises(InvalidUpgrade, match=r"chose subprotocol 'a', which was not offered \(offered: none\)"):
        answer(switching("Sec-WebSocket-Protocol: a"), basic_request.get("ws://h"))
    with pytest.raises(InvalidUpgrade, match=r"'permessage-deflate', which was not offered \(offered: none\)"):
        answer(switching(COMPRESSED), PLAIN)


@pytest.mark.parametrize("chunk", [None, *CHUNKS])
@pytest.mark.parametrize(
    ("reply", "body"),
    [
        pytest.param(http("HTTP/1.1 401 No", "Content-Length: 5", behind=b"12345"), b"12345", id="length"),
        pytest.param(http("HTTP/1.1 401 No", "Content-Length: 0", behind=b"rest"), b"", id="length 0"),
        pytest.param(http("HTTP/1.1 204 No", behind=b"rest"), b"", id="204"),
        pytest.param(http("HTTP/1.1 200 No", "Content-Length: 5", behind=b"1234567"), b"12345", id="more than it"),
        pytest.param(
            http("HTTP/1.1 503 No", "Transfer-Encoding: chunked", behind=b"3;x\r\n123\r\n2\r\n45\r\n0\r\nA: b\r\n\r\n"),
            b"12345",
            id="chunked",
        ),
        pytest.param(
            http("HTTP/1.1 100 x") + http("HTTP/1.0 403 No", "Content-Length: 1", behind=b"x"), b"x", id="100 before it"
        ),
        # the status is worth more than an error about the body
        pytest.param(
            http("HTTP/1.1 401 No", "Transfer-Encoding: chunked", behind=b"3\r\n123\r\nxyz\r\n"), b"123", id="bad chunk"
        ),
    ],
)
def test_any_other_final_answer_is_a_response_with_its_body(reply: bytes, body: bytes, chunk: int | None) -> None:
    result = rejected(reply, chunk)
    assert result.body == body
    assert result.reason == "No"
    assert result.status in (200, 204, 401, 403, 503)
    assert (result.subprotocol, result.extensions) == (None, ())


@pytest.mark.parametrize("chunk", [None, 1])
@pytest.mark.parametrize(
    "lines", [("Content-Length: 10",), ("Transfer-Encoding: chunked",), ()], ids=["length", "chunked", "neither"]
)
def test_the_end_of_the_stream_ends_the_body_of_a_rejection(lines: tuple[str, ...], chunk: int | None) -> None:
    body = b"5\r\n12345\r\n" if "chunked" in "".join(lines) else b"12345"
    assert rejected(http("HTTP/1.1 502 Bad Gateway", *lines, behind=body), chunk, end=True).body == b"12345"


def test_what_is_known_of_a_rejection_can_be_seen_before_its_body_is_complete() -> None:
    """So that a time-out can still say what the server answered."""
    handshake, _ = begin(REQUEST)
    assert handshake.rejection is None
    reply = http("HTTP/1.1 401 Unauthorized", "X: y", "Content-Length: 10")
    assert handshake.receive(reply[:-1]) is None
    assert handshake.rejection is None
    assert handshake.receive(reply[-1:]) is None
    assert handshake.rejection == Response(401, Headers([("X", "y"), ("Content-Length", "10")]), "Unauthorized")
    assert handshake.receive(b"12345") is None
    known = handshake.rejection
    assert known is not None
    assert known.body == b"12345"
    assert handshake.receive(b"67890") == replace(known, body=b"1234567890")


def test_control_characters_in_a_reason_do_not_reach_a_terminal() -> None:
    assert rejected(http("HTTP/1.1 404 \x1b[31m\x9b", "Content-Length: 0")).reason == "?[31m?"


CHUNKED = http("HTTP/1.1 500 x", "Transfer-Encoding: chunked")


@pytest.mark.parametrize("chunk", [None, 997, 65536])
@pytest.mark.parametrize(
    ("reply", "kept"),
    [
        pytest.param(http("HTTP/1.1 500 x", "Content-Length: 65536", behind=b"x" * MAX_BODY), MAX_BODY, id="just so"),
        pytest.param(http("HTTP/1.1 500 x", "Content-Length: 65537", behind=b"x" * MAX_BODY), MAX_BODY, id="one less"),
        pytest.param(http("HTTP/1.1 500 x", behind=b"x" * 10 * MAX_BODY), MAX_BODY, id="no length"),
        pytest.param(CHUNKED + (b"ffff\r\n" + b"x" * 0xFFFF + b"\r\n") * 2, MAX_BODY, id="chunked"),
        pytest.param(CHUNKED + b"1\r\nx\r\n" * MAX_BODY, None, id="small chunks"),
        pytest.param(CHUNKED + b"1\r\nx\r\n1;" + b"x" * 3 * MAX_BODY, 1, id="endless chunk header"),
        pytest.param(CHUNKED + b"1\r\nx\r\n0\r\n" + b"A: b\r\n" * MAX_BODY, 1, id="endless trailer"),
    ],
)
def test_of_a_body_64_kib_are_kept_and_the_rest_is_not_waited_for(
    reply: bytes, kept: int | None, chunk: int | None
) -> None:
    body = rejected(reply, chunk).body
    assert body == b"x" * len(body)
    assert len(body) == (len(rejected(reply).body) if kept is None else kept)
    assert len(body) <= MAX_BODY


@pytest.mark.parametrize("chunk", [None, 997, 65536])
@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(http("HTTP/1.1 100 x") * 10_000, id="1xx"),
        pytest.param(http("HTTP/1.1 103 x", "X: " + "y" * 1000) * 100 + switching(), id="1xx with headers"),
        pytest.param(b"HTTP/1.1 101 x\r\nX: " + b"y" * 100_000, id="one line"),
        pytest.param(b"HTTP/1.1 101 x\r\n" + b"X: y\r\n" * 20_000 + b"\r\n", id="many lines"),
        pytest.param(b"HTTP/1.1 401 " + b"x" * 100_000, id="reason"),
    ],
)
def test_an_endless_header_is_refused(reply: bytes, chunk: int | None) -> None:
    with pytest.raises(InvalidUpgrade, match=r"the header of the server's answer is over 65536 bytes"):
        answer(reply, chunk=chunk)


@pytest.mark.parametrize("chunk", [None, 997, 65536])
def test_the_limit_of_a_header_is_exact_in_every_chunking(chunk: int | None) -> None:
    least = len(switching("X: ").replace(b"{accept}", SAMPLE_ACCEPT.encode()))
    longest = switching("X: " + "y" * (MAX_HEADER - least))
    assert upgraded(longest + b"behind", chunk=chunk).trailing == b"behind"
    with pytest.raises(InvalidUpgrade, match="is over 65536 bytes"):
        answer(longest.replace(b"X: ", b"XX: "), chunk=chunk)


def test_the_end_of_the_stream_instead_of_an_answer_is_named() -> None:
    with pytest.raises(InvalidUpgrade, match=r"^the server closed the connection without an answer$"):
        answer(b"", end=True)


@pytest.mark.parametrize("reply", [b"H", b"HTTP/1.1 101 x\r\nUpgr", switching()[:-1], http("HTTP/1.1 100 x")])
def test_the_end_of_the_stream_in_mid_header_is_named(reply: bytes) -> None:
    with pytest.raises(
        InvalidUpgrade, match=r"closed the connection before its answer was complete; it began with b'H"
    ):
        answer(reply, end=True)


@pytest.mark.parametrize("reply", [switching(), http("HTTP/1.1 404 x", "Content-Length: 0"), b"x", b""])
def test_a_handshake_that_is_over_takes_no_more(reply: bytes) -> None:
    handshake, sent = begin(REQUEST)
    with contextlib.suppress(InvalidUpgrade):
        handshake.receive(reply.replace(b"{accept}", accept_value(sent["Sec-WebSocket-Key"]).encode()))
    with pytest.raises(RuntimeError, match="the opening handshake is over"):
        handshake.receive(b"x")


# Redirects


def moved(*locations: str, status: int = 302) -> Response:
    return Response(status, Headers([("Location", location) for location in locations]), "Found")


@pytest.mark.parametrize("status", range(300, 310))
def test_five_statuses_are_redirects(status: int) -> None:
    assert is_redirect(moved("/", status=status)) == (status in (301, 302, 303, 307, 308))


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("ws://other.example:81/x?y=z", "ws://other.example:81/x?y=z"),
        ("http://other.example/x", "ws://other.example/x"),
        ("HTTPS://other.example/x", "wss://other.example/x"),
        ("wss://h", "wss://h/"),
        ("//other.example/x", "ws://other.example/x"),
        ("/x/y?z", "ws://h:9/x/y?z"),
        ("x", "ws://h:9/a/x"),
        ("../x", "ws://h:9/x"),
        ("?x=y", "ws://h:9/a/b?x=y"),
        ("/x#part", "ws://h:9/x"),
        ("/caf\xe9", "ws://h:9/caf%C3%A9"),
        ("/caf\xc3\xa9", "ws://h:9/caf%C3%A9"),  # as most servers send it: UTF-8, here one character a byte
        ("/caf€", "ws://h:9/caf%E2%82%AC"),
        ("//fa\xc3\x9f.example/", "ws://xn--fa-hia.example/"),
        ("http://\xe2\x98\x95.example/", "ws://xn--53h.example/"),
    ],
)
def test_a_location_is_resolved_against_the_url_of_the_request(location: str, url: str) -> None:
    request = basic_request.get("ws://h:9/a/b?token=secret")
    assert redirected(request, moved(location)).url == WebSocketURL.parse(url)


def test_a_redirect_keeps_the_request_and_leaves_one_redirect_less() -> None:
    request = REQUEST.bearer_auth("t").cookie("a", "b").header("Host", "x").header("X", "y").follow_redirects(3)
    again = redirected(request, moved("/other"))
    assert again == replace(request, url=WebSocketURL.parse("ws://example.com/other"), max_redirects=2)


@pytest.mark.parametrize("location", ["ws://other.example/", "ws://example.com:81/", "wss://example.com:80/"])
def test_a_redirect_to_another_origin_takes_no_credentials_along(location: str) -> None:
    request = REQUEST.bearer_auth("t").cookie("a", "b").header("host", "x").header("X", "y")
    request = request.header("Proxy-Authorization", "z")
    assert redirected(request, moved(location)).headers == Headers([("X", "y")])


@pytest.mark.parametrize(
    ("request_", "response", "why"),
    [
        (REQUEST.follow_redirects(0), moved("/"), "answered 302 Found, but no more redirects may be followed"),
        (REQUEST, moved(), "the server answered 302 Found, which needs one Location, but it has none"),
        (REQUEST, moved(""), "which needs one Location, but it has none"),
        (REQUEST, moved("/a", "/b"), "which needs one Location, but it has 2"),
        (basic_request.get("wss://h/"), moved("http://h/x?secret"), "from wss to ws, which is not encrypted: ws://h/x"),
        (REQUEST, moved("http://user:secret@h/"), "to a Location with a user name in it: ws://h/"),
        (REQUEST, moved("ftp://h/?secret"), "a Location that can't be used: 'ftp://h/?…' is not a WebSocket URL"),
        (REQUEST, moved("http://h:99999/"), "a Location that can't be used: "),
        (REQUEST, moved("http://[::1/?secret"), "a Location that can't be used: "),
        (REQUEST, moved("http://a b/"), "a Location that can't be used: "),
        (basic_request.get("wss://h/"), moved("http:///x"), "a Location that can't be used: "),
    ],
)
def test_a_redirect_that_may_not_be_followed_is_refused(request_: Request, response: Response, why: str) -> None:
    with pytest.raises(RedirectRefused, match=re.escape(why)) as caught:
        redirected(request_, response)
    assert caught.value.response is response
    assert isinstance(caught.value, UpgradeRejected)
    assert "secret" not in "".join(traceback.format_exception(caught.value))
    if "can't be used" in why:
        assert isinstance(caught.value.__cause__, InvalidURL)


# The server

OPENING = (
    "Host: example.com:81",
    "Upgrade: websocket",
    "Connection: Upgrade",
    f"Sec-WebSocket-Key: {SAMPLE_KEY}",
    "Sec-WebSocket-Version: 13",
)


def opening(
    *lines: str, without: str = "-", first: str = "GET /chat?token=secret HTTP/1.1", behind: bytes = b""
) -> bytes:
    """Return a client's opening handshake with more lines and without the fields of a name."""
    return http(first, *(line for line in OPENING if not line.startswith(without)), *lines, behind=behind)


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


@pytest.mark.parametrize("chunk", [None, *CHUNKS])
def test_a_request_is_what_the_client_asks_for(chunk: int | None) -> None:
    lines = ("Sec-WebSocket-Protocol: a,b", "Origin: http://x", "sec-websocket-protocol: c", "X: \xe9")
    handshake, request, rest = serve(opening(*lines, behind=b"\x81\x80"), chunk)
    assert (request.target, request.host) == ("/chat?token=secret", "example.com:81")
    assert (request.subprotocols, request.origin) == (("a", "b", "c"), "http://x")
    assert request.headers["x"] == "é"
    assert handshake.accept().trailing + rest == b"\x81\x80"


@pytest.mark.parametrize("chunk", [None, *CHUNKS])
def test_an_empty_line_before_a_request_is_ignored(chunk: int | None) -> None:
    """RFC 9112 §2.2: "a server that is expecting to receive and parse a request-line SHOULD ignore" it."""
    assert serve(b"\r\n" + opening(), chunk)[1].target == "/chat?token=secret"


@pytest.mark.parametrize("chunk", [None, *CHUNKS])
@pytest.mark.parametrize("before", [b"\r\n\r\n", b"\n", b"\r", b" \r\n"], ids=repr)
def test_what_else_comes_before_a_request_is_refused(before: bytes, chunk: int | None) -> None:
    assert refusal(before + opening(), chunk)[1].startswith(b"HTTP/1.1 400 ")


def test_the_repr_of_a_request_hides_its_query_and_its_credentials() -> None:
    shown = repr(serve(opening("Authorization: Bearer secret", "Cookie: secret"))[1])
    assert "secret" not in shown
    assert shown.startswith("UpgradeRequest(target='/chat?…', host='example.com:81', headers=Headers([")
    assert repr(serve(opening(first="GET /a HTTP/1.1"))[1]).startswith("UpgradeRequest(target='/a', ")


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(opening("UPGRADE: h2c, WebSocket/13, WEBSOCKET", without="Upgrade"), id="Upgrade in a list"),
        pytest.param(opening("Upgrade: h2c"), id="more Upgrade"),
        pytest.param(opening("Connection: keep-alive,,UPGRADE", without="Connection"), id="list in Connection"),
        pytest.param(opening("Connection: close", "Connection: te"), id="more Connection"),
        pytest.param(opening("Content-Length: 00"), id="no body"),
        pytest.param(opening(first="GET / HTTP/1.2"), id="HTTP/1.2"),
        pytest.param(opening("Host: [::1]", without="Host"), id="IPv6"),
        pytest.param(opening("Host: h:", without="Host"), id="empty port"),
        pytest.param(opening("Host: %41-_.~!$&'()*+,;=", without="Host"), id="any registered name"),
        pytest.param(opening("Sec-WebSocket-Extensions: foo; a=b, bar"), id="unknown extensions"),
    ],
)
@pytest.mark.parametrize("chunk", [None, 1])
def test_a_request_may_be_written_in_many_ways(data: bytes, chunk: int | None) -> None:
    serve(data, chunk)[0].accept()


@pytest.mark.parametrize(
    ("target", "host", "name"),
    [
        ("http://other.example:8/x?y", "other.example:8", "/x?y"),
        ("HTTPS://other.example", "other.example", "/"),
        ("http://other.example?y", "other.example", "/?y"),
        ("//x", "example.com:81", "//x"),
    ],
)
def test_a_target_in_absolute_form_names_the_host(target: str, host: str, name: str) -> None:
    """RFC 9112 §3.2.2."""
    request = serve(opening(first=f"GET {target} HTTP/1.1"))[1]
    assert (request.host, request.target) == (host, name)


def key(text: str) -> bytes:
    return opening(f"Sec-WebSocket-Key: {text}", without="Sec-WebSocket-Key")


EXTENSIONS = "Sec-WebSocket-Extensions"
NO_RESOURCE = "the request's target is not a resource name"

SERVER_REFUSALS = {
    "POST": (opening(first="POST / HTTP/1.1"), 405, "the request's method is 'POST', but must be GET"),
    "get": (opening(first="get / HTTP/1.1"), 405, "the request's method is 'get', but must be GET"),
    "HEAD": (opening(first="HEAD / HTTP/1.1"), 405, "the request's method is 'HEAD', but must be GET"),
    "HTTP/1.0": (opening(first="GET / HTTP/1.0"), 505, "the request is in HTTP/1.0, but only HTTP/1.1 can upgrade"),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "the request is in HTTP/2.0, but only HTTP/1.1 can upgrade"),
    "no Host": (opening(without="Host"), 400, "Missing mandatory Host: header"),
    "no Host in HTTP/1.2": (
        opening(without="Host", first="GET / HTTP/1.2"),
        400,
        "the request must have Host: a host, with or without a port, but has none",
    ),
    "two Hosts": (opening("Host: a"), 400, "Found multiple Host: headers"),
    "empty Host": (opening("Host:", without="Host"), 400, "a host, with or without a port, but has ''"),
    "Host not ASCII": (opening("Host: \xe4", without="Host"), 400, "with or without a port, but has 'ä'"),
    "bad Host": (opening("Host: a b", without="Host"), 400, "with or without a port, but has 'a b'"),
    "bad port": (opening("Host: a:b", without="Host"), 400, "with or without a port, but has 'a:b'"),
    "user in Host": (opening("Host: a@b", without="Host"), 400, "with or without a port, but has 'a@b'"),
    "no path": (opening(first="GET chat HTTP/1.1"), 400, NO_RESOURCE),
    "asterisk": (opening(first="GET * HTTP/1.1"), 400, NO_RESOURCE),
    "fragment": (opening(first="GET /a#b HTTP/1.1"), 400, NO_RESOURCE),
    "fragment for a host": (opening(first="GET http://a#b HTTP/1.1"), 400, NO_RESOURCE),
    "ftp": (opening(first="GET ftp://a/b HTTP/1.1"), 400, NO_RESOURCE),
    "absolute without host": (opening(first="GET http:///b HTTP/1.1"), 400, NO_RESOURCE),
    "absolute with user": (opening(first="GET http://a:secret@b/ HTTP/1.1"), 400, NO_RESOURCE),
    "no Upgrade": (opening(without="Upgrade"), 426, "the request must have Upgrade: websocket, but has none"),
    "wrong Upgrade": (opening("Upgrade: h2c", without="Upgrade"), 426, "Upgrade: websocket, but has 'h2c'"),
    "near Upgrade": (opening("Upgrade: websockets", without="Upgrade"), 426, "but has 'websockets'"),
    "bad Upgrade": (opening("Upgrade: a/b/c"), 400, "the request's Upgrade header is malformed: '/' at character 4"),
    "no Connection": (opening(without="Connection"), 426, "the request must have Connection: Upgrade, but has none"),
    "wrong Connection": (opening("Connection: close", without="Connection"), 426, "Upgrade, but has 'close'"),
    "bad Connection": (opening("Connection: \xff"), 400, "Connection header is malformed: 'ÿ' at character 1"),
    "no version": (opening(without="Sec-WebSocket-Version"), 426, "Sec-WebSocket-Version: 13, but has none"),
    "wrong version": (opening("Sec-WebSocket-Version: 8", without="Sec-WebSocket-Version"), 426, "13, but has '8'"),
    "near version": (opening("Sec-WebSocket-Version: 013", without="Sec-WebSocket-Version"), 426, "but has '013'"),
    "two versions": (opening("Sec-WebSocket-Version: 13"), 400, "Sec-WebSocket-Version header comes 2 times"),
    "no key": (key("x").replace(b"Sec-WebSocket-Key: x\r\n", b""), 400, "16 bytes in base64, but has none"),
    "two keys": (opening(f"Sec-WebSocket-Key: {SAMPLE_KEY}"), 400, "Sec-WebSocket-Key header comes 2 times"),
    "key of 15 bytes": (
        key(base64.b64encode(bytes(15)).decode()),
        400,
        "must have Sec-WebSocket-Key: 16 bytes in base64",
    ),
    "key of 17 bytes": (
        key(base64.b64encode(bytes(17)).decode()),
        400,
        "must have Sec-WebSocket-Key: 16 bytes in base64",
    ),
    "key without padding": (key(SAMPLE_KEY[:-2]), 400, "must have Sec-WebSocket-Key: 16 bytes in base64"),
    "key of other letters": (key("-" * 22 + "=="), 400, "must have Sec-WebSocket-Key: 16 bytes in base64"),
    "key with white space": (key("dGhlIHNhbXBsZ SBub25jZQ=="), 400, "must have Sec-WebSocket-Key: 16 bytes in base64"),
    "key and more": (key(SAMPLE_KEY + "AAAA"), 400, "must have Sec-WebSocket-Key: 16 bytes in base64"),
    "key not ASCII": (key("\xe9" * 22 + "=="), 400, "must have Sec-WebSocket-Key: 16 bytes in base64"),
    "bad subprotocol": (opening("Sec-WebSocket-Protocol: a, b c"), 400, "malformed: 'c' at character 6"),
    "empty subprotocols": (opening("Sec-WebSocket-Protocol: ,"), 400, "Sec-WebSocket-Protocol header is empty"),
    "subprotocol twice": (
        opening("Sec-WebSocket-Protocol: a, b", "Sec-WebSocket-Protocol: a"),
        400,
        "the request's Sec-WebSocket-Protocol header has a subprotocol twice",
    ),
    "subprotocol not ASCII": (opening("Sec-WebSocket-Protocol: \xe4"), 400, "malformed: 'ä' at character 1"),
    "bad extension": (opening(f"{EXTENSIONS}: a; b=c d"), 400, "malformed: 'd' at character 8"),
    "bad quotes": (opening(f'{EXTENSIONS}: a; b="c'), 400, "malformed: '=' at character 5"),
    "quoted value is no token": (opening(f'{EXTENSIONS}: a; b="c d"'), 400, "has a quoted value that is not a token"),
    "empty extensions": (opening(f"{EXTENSIONS}:"), 400, "the request's Sec-WebSocket-Extensions header is empty"),
    "extension not ASCII": (opening(f"{EXTENSIONS}: \xff"), 400, "malformed: 'ÿ' at character 1"),
    "two origins": (opening("Origin: a", "Origin: b"), 400, "the request's Origin header comes 2 times"),
    "body": (
        opening("Content-Length: 4", behind=b"body"),
        400,
        "the request has a body, but an opening handshake has none",
    ),
    "chunked body": (opening("Transfer-Encoding: chunked"), 400, "the request has a body"),
    "unknown coding": (opening("Transfer-Encoding: gzip"), 501, "Only Transfer-Encoding: chunked is supported"),
    "bad length": (opening("Content-Length: x"), 400, "the request is not valid HTTP (bad Content-Length): b"),
    "TLS": (b"\x16\x03\x01\x02\x00", 400, "(which looks like TLS: the client's URL may have to begin with ws://)"),
    "blank line": (b"\r\n\r\n", 400, "the request is not valid HTTP (illegal first line): b"),
    "no HTTP": (b"GET /?secret\r\n\r\n", 400, "the request is not valid HTTP (illegal first line): b"),
    "bad header": (opening("Authorization : Bearer secret"), 400, "(illegal header line, Authorization): b"),
    "no header": (opening("secret"), 400, "the request is not valid HTTP (illegal header line): b"),
}


@pytest.mark.parametrize("name", SERVER_REFUSALS)
def test_the_server_refuses_a_request_that_breaks_rfc_6455_and_says_why(name: str) -> None:
    data, status, why = SERVER_REFUSALS[name]
    error, sent = refusal(data)
    assert why in str(error)
    assert "secret" not in "".join(traceback.format_exception(error))
    response = rejected(sent.replace(b"Content-Length", b"X") if name == "HEAD" else sent, end=True)
    assert response.status == status
    assert response.reason
    assert response.headers["Connection"].lower() == ("close, upgrade" if status == 426 else "close")
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert response.body.decode() == (
        "" if name == "HEAD" else f"This is not a WebSocket opening handshake: {error}.\n"
    )
    assert response.headers.get("Allow") == ("GET" if status == 405 else None)
    assert response.headers.get("Upgrade") == ("websocket" if status == 426 else None)
    assert response.headers.get("Sec-WebSocket-Version") == ("13" if status == 426 else None)
    for chunk in CHUNKS:
        error_again, sent_again = refusal(data, chunk)
        assert message(error_again) == message(error)
        assert re.sub(rb"b'.*|Content-Length.*", b"", sent_again) == re.sub(rb"b'.*|Content-Length.*", b"", sent)


@pytest.mark.parametrize("chunk", [None, 997, 65536])
@pytest.mark.parametrize("data", [opening("X: " + "y" * 70_000), b"GET /" + b"x" * 70_000])
def test_an_endless_header_of_a_request_is_refused(data: bytes, chunk: int | None) -> None:
    error, sent = refusal(data, chunk)
    assert str(error) == "the request's header is over 65536 bytes"
    assert rejected(sent).status == 431


@pytest.mark.parametrize("chunk", [None, 997, 65536])
def test_bytes_behind_a_request_do_not_count_as_its_header(chunk: int | None) -> None:
    handshake, _, rest = serve(opening(behind=b"x" * 70_000), chunk)
    assert handshake.accept().trailing + rest == b"x" * 70_000


@pytest.mark.parametrize("chunk", [None, 997, 65536])
def test_the_limit_of_a_requests_header_is_exact_in_every_chunking(chunk: int | None) -> None:
    longest = opening("X: " + "y" * (MAX_HEADER - len(opening("X: "))))
    assert serve(longest, chunk)[1].target == "/chat?token=secret"
    assert rejected(refusal(longest.replace(b"X: ", b"XX: "), chunk)[1]).status == 431


def test_the_cause_of_a_refusal_is_h11s_error_or_none() -> None:
    assert isinstance(refusal(SERVER_REFUSALS["bad header"][0])[0].__cause__, h11.RemoteProtocolError)
    assert refusal(SERVER_REFUSALS["POST"][0])[0].__cause__ is None


def test_the_end_of_the_stream_instead_of_a_request_is_named() -> None:
    error, sent = refusal(b"", end=True)
    assert str(error) == "the client closed the connection without a request"
    assert rejected(sent).status == 400
    error, _ = refusal(opening()[:-1], end=True)
    assert str(error) == "the client closed the connection before its request was complete"


def test_accepting_answers_101() -> None:
    handshake, _, _ = serve(opening("Sec-WebSocket-Protocol: a, b"))
    result = handshake.accept("b", [("X", " \xe9 "), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])
    assert handshake.data_to_send() == (
        b"HTTP/1.1 101 Switching Protocols\r\n"
        b"Upgrade: websocket\r\n"
        b"Connection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
        b"Sec-WebSocket-Protocol: b\r\n"
        b"X: \xe9\r\n"
        b"Set-Cookie: a=1\r\n"
        b"Set-Cookie: b=2\r\n"
        b"\r\n"
    )
    assert handshake.data_to_send() == b""
    assert (result.response.status, result.response.reason) == (101, "Switching Protocols")
    assert result.response.subprotocol == "b"
    assert result.response.headers.get_all("Set-Cookie") == ["a=1", "b=2"]
    assert (result.deflate, result.trailing) == (None, b"")


@pytest.mark.parametrize(
    ("offers", "chosen"),
    [
        (["permessage-deflate"], "permessage-deflate"),
        (["foo, permessage-deflate; client_max_window_bits", "bar"], "permessage-deflate"),
        (["permessage-deflate; server_max_window_bits=7, permessage-deflate; server_no_context_takeover"], "…takeover"),
        (["permessage-deflate; foo", "permessage-deflate;server_max_window_bits=10"], "…bits=10"),
        (["permessage-deflate; foo"], None),
        (["Permessage-Deflate"], None),
    ],
)
def test_the_first_acceptable_offer_of_compression_is_taken(offers: list[str], chosen: str | None) -> None:
    handshake, _, _ = serve(opening(*(f"Sec-WebSocket-Extensions: {offer}" for offer in offers)))
    result = handshake.accept()
    sent = handshake.data_to_send().decode()
    assert (result.deflate is not None) == (chosen is not None) == ("Sec-WebSocket-Extensions" in sent)
    if chosen is not None:
        (extension,) = result.response.extensions
        assert extension.startswith("permessage-deflate")
        assert extension.endswith(chosen.removeprefix("…"))
        assert f"Sec-WebSocket-Extensions: {extension}\r\n" in sent


def test_without_compression_no_offer_is_taken() -> None:
    handshake, _, _ = serve(opening("Sec-WebSocket-Extensions: permessage-deflate"), compression=None)
    assert handshake.accept().deflate is None
    assert b"Extensions" not in handshake.data_to_send()


Answer = Callable[[ServerHandshake], object]


@pytest.mark.parametrize(
    ("answer_", "why"),
    [
        (lambda it: it.accept("c"), "subprotocol 'c' was not offered (offered: 'a')"),
        (lambda it: it.accept(headers=[("upgrade", "x")]), "the upgrade header can't be set by hand"),
        (lambda it: it.accept(headers=[("Connection", "x")]), "the Connection header can't be set by hand"),
        (lambda it: it.accept(headers=[("Content-Length", "0")]), "the Content-Length header can't be set by hand"),
        (lambda it: it.accept(headers=[("Sec-WebSocket-Accept", "x")]), "Sec-WebSocket-Accept header can't be set"),
        (lambda it: it.accept(headers=[("X", "secret\r\nY: z")]), "the value given for header X has a character"),
        (lambda it: it.accept(headers=[("X", "secret€")]), "the value given for header X has a character"),
        (lambda it: it.accept(headers=[("X Y", "z")]), "'X Y' is not a header name"),
        (lambda it: it.reject(403, [("X", "secret\n")]), "the value given for header X has a character"),
        (lambda it: it.reject(101), "101 is not a status that can reject an upgrade"),
        (lambda it: it.reject(600), "600 is not a status that can reject an upgrade"),
        (lambda it: it.reject(204, body=b"x"), "an answer with status 204 has no body"),
    ],
)
def test_an_answer_that_cannot_be_sent_is_refused_and_another_can_be_given(answer_: Answer, why: str) -> None:
    handshake, _, _ = serve(opening("Sec-WebSocket-Protocol: a"))
    with pytest.raises(ValueError, match=re.escape(why)) as caught:
        answer_(handshake)
    assert "secret" not in str(caught.value)
    assert handshake.data_to_send() == b""
    handshake.reject(500)
    assert handshake.data_to_send().startswith(b"HTTP/1.1 500 Internal Server Error\r\n")


@pytest.mark.parametrize(
    ("status", "headers", "body", "sent"),
    [
        (403, [], b"no", b"HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno"),
        (200, [("X", "y")], b"", b"HTTP/1.1 200 OK\r\nX: y\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
        (204, [], b"", b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"),
        (599, [], b"", b"HTTP/1.1 599 \r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
        (
            302,
            [("Location", "/x"), ("content-length", "9"), ("Transfer-Encoding", "chunked"), ("Connection", "x")],
            b"",
            b"HTTP/1.1 302 Found\r\nLocation: /x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        ),
    ],
)
def test_rejecting_answers_another_status(
    status: int, headers: list[tuple[str, str]], body: bytes, sent: bytes
) -> None:
    handshake, _, _ = serve(opening("Connection: keep-alive"))
    handshake.reject(status, headers, body)
    assert handshake.data_to_send() == sent


def test_a_request_is_answered_only_once() -> None:
    for first in (ServerHandshake.accept, lambda it: it.reject(404)):
        handshake, _, _ = serve(opening())
        first(handshake)
        handshake.data_to_send()
        with pytest.raises(RuntimeError, match="the request is answered"):
            handshake.accept()
        with pytest.raises(RuntimeError, match="the request is answered"):
            handshake.reject(404)
        assert handshake.data_to_send() == b""


def test_there_is_nothing_to_answer_before_the_request() -> None:
    handshake = ServerHandshake(None, None)
    handshake.receive(opening()[:-1])
    with pytest.raises(RuntimeError, match="there is no request"):
        handshake.accept()


def test_what_arrives_behind_the_request_belongs_to_the_connection() -> None:
    handshake, _, _ = serve(opening())
    with pytest.raises(RuntimeError, match="belong to the connection"):
        handshake.receive(b"x")


# The grammar


def field(*values: str) -> Fields:
    return by_name(Headers([(EXTENSIONS, value) for value in values]))


@pytest.mark.parametrize(
    ("values", "extensions"),
    [
        ([], []),
        (["a"], [Extension("a")]),
        (["a, b", "c"], [Extension("a"), Extension("b"), Extension("c")]),
        (["", "a"], [Extension("a")]),
        ([", ,\ta,, b ,"], [Extension("a"), Extension("b")]),
        (["a;b;c=d"], [Extension("a", (("b", None), ("c", "d")))]),
        (["a ;\tb ; c = d ,e"], [Extension("a", (("b", None), ("c", "d"))), Extension("e")]),
        (['a; b="c"'], [Extension("a", (("b", "c"),))]),
        (['a; b="\\c\\d"; e'], [Extension("a", (("b", "cd"), ("e", None)))]),
        (["a; b=1; b=2"], [Extension("a", (("b", "1"), ("b", "2")))]),
        (["!#$%&'*+-.^_`|~09azAZ"], [Extension("!#$%&'*+-.^_`|~09azAZ")]),
    ],
)
def test_extensions_are_read_to_the_letter(values: list[str], extensions: list[Extension]) -> None:
    """RFC 6455 §9.1."""
    assert parse_extensions(field(*values)) == extensions


@pytest.mark.parametrize(
    "value",
    [
        *[
            "",
            ",",
            ";a",
            "a;",
            "a;;b",
            "a=b",
            "a; =b",
            "a; b=",
            "a; b=c=d",
            "a b",
            "a; b c",
            "a/b",
            "é",
            "a; b=é",
            "\0",
        ],
        *['a; b="', 'a; b="c', 'a; b="c\\"', 'a; b=""', 'a; b="c,d"', 'a; b="c;d"', 'a; b="c d"', 'a; b="é"', '"a"'],
        *['a; b="c"d', 'a; b="\\""', 'a; "b"', "a\x0b", "a,\n b"],
    ],
)
def test_extensions_that_break_the_grammar_are_refused(value: str) -> None:
    with pytest.raises(MalformedHeader, match="Sec-WebSocket-Extensions header"):
        parse_extensions(field(value))


def test_a_comma_in_quotes_does_not_part_extensions() -> None:
    """Else 'x' would count as an extension; as it is, the value is no token."""
    with pytest.raises(MalformedHeader, match="quoted value that is not a token"):
        parse_extensions(field('a; b=",x,"'))


def test_an_extension_is_written_as_in_a_header() -> None:
    assert str(Extension("a", (("b", None), ("c", "d")))) == "a; b; c=d"


def test_tokens_are_read_to_the_letter() -> None:
    """RFC 9110 §5.6.1."""
    headers = by_name(Headers([("X", "a, b ,,"), ("Y", "c"), ("x", "\t,D")]))
    assert parse_tokens(headers, "X") == ["a", "b", "D"]
    assert parse_tokens(headers, "Z") == []
    for value in ("a b", "a;b", "a,b/c", "é", '"a"', "", " , "):
        with pytest.raises(MalformedHeader, match=r"X header is (malformed|empty)"):
            parse_tokens({"x": [value]}, "X")


def test_a_field_that_may_come_once_is_read_once() -> None:
    headers = by_name(Headers([("X", "a, b"), ("Y", "c"), ("y", "c")]))
    assert single(headers, "X") == "a, b"
    assert single(headers, "Z") is None
    with pytest.raises(MalformedHeader, match=r"^Y header comes 2 times, but may come only once$"):
        single(headers, "Y")


def test_fields_are_encoded_as_http_has_them() -> None:
    assert encode_fields([("A-b", "\t\xffx y ")]) == [(b"A-b", b"\xffx y")]
    for name, value in (("", "x"), ("a:", "x"), ("ä", "x"), ("a", "\0"), ("a", "\r"), ("a", "\x7f"), ("a", "Ā")):
        with pytest.raises(ValueError, match=r"is not a header name|has a character that HTTP does not allow"):
            encode_fields([(name, value)])
