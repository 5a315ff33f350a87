"""The client's opening handshake, demand by demand (RFC 6455 §4.1); each reply in every chunking."""

from __future__ import annotations

import base64
import contextlib
import re
import sys
import traceback
from dataclasses import replace

import h11
import pytest

import polysocket
from polysocket._core.client_handshake import ClientHandshake
from polysocket._core.handshake import accept_value
from polysocket._core.http1 import MAX_BODY, MAX_BODY_LINES, MAX_HEADER, MAX_HEADER_LINES, MAX_LINES
from polysocket._core.server_handshake import ServerHandshake
from polysocket.errors import InvalidRequest, InvalidUpgrade, UpgradeRejected
from polysocket.headers import Headers
from polysocket.request import Request, basic_request
from polysocket.response import Response
from polysocket.url import WebSocketURL
from tests.handshakes import (
    CHUNKS,
    COMPRESSED,
    PLAIN,
    REQUEST,
    SAMPLE_ACCEPT,
    SAMPLE_KEY,
    SWITCHING,
    answer,
    begin,
    http,
    message,
    rejected,
    switching,
    upgraded,
)


def test_the_request_has_every_field_that_rfc_6455_demands() -> None:
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
        f"User-Agent: polysocket/{polysocket.__version__}",
        "Sec-WebSocket-Protocol: a, b",
        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
        "X: y",
        "Origin: http://example.com",
        "",
        "",
    ]
    assert len(base64.b64decode(key, validate=True)) == 16
    assert handshake.data_to_send() == b""


def test_each_handshake_has_a_new_key() -> None:
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
def test_the_host_header_names_the_port_unless_it_is_the_default(url: str, host: str) -> None:
    assert begin(basic_request.get(url))[1].get_all("Host") == [host]


def test_a_host_header_of_the_user_replaces_the_default() -> None:
    assert begin(REQUEST.header("host", "other.example"))[1].get_all("Host") == ["other.example"]


def test_without_subprotocols_and_compression_their_headers_are_not_sent() -> None:
    sent = begin(basic_request.get("ws://h").compress(None))[1]
    assert "Sec-WebSocket-Protocol" not in sent
    assert "Sec-WebSocket-Extensions" not in sent


def test_header_values_are_sent_in_latin_1_without_surrounding_whitespace() -> None:
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
        pytest.param(
            REQUEST.with_headers([("X", "y")] * 129),
            "137 header lines, ours included, but at most 128",
            id="many lines",
        ),
    ],
)
def test_a_request_that_cannot_be_sent_is_refused_before_anything_is_sent(request_: Request, why: str) -> None:
    with pytest.raises(InvalidRequest, match=re.escape(why)):
        ClientHandshake(request_)


def test_a_request_may_have_as_many_header_lines_as_a_server_accepts() -> None:
    own = len(ClientHandshake(REQUEST).headers.pairs)
    handshake = ClientHandshake(REQUEST.with_headers([("X", "y")] * (MAX_HEADER_LINES - own)))
    assert ServerHandshake(None, None).receive(handshake.data_to_send()) is not None
    with pytest.raises(InvalidRequest, match="has 129 header lines"):
        ClientHandshake(REQUEST.with_headers([("X", "y")] * (MAX_HEADER_LINES - own + 1)))


def test_the_accept_value_matches_the_example_of_the_rfc() -> None:
    assert accept_value(SAMPLE_KEY) == SAMPLE_ACCEPT


@pytest.mark.parametrize("chunk", [None, *CHUNKS])
def test_a_101_upgrades_and_returns_its_headers_and_the_bytes_after_it(chunk: int | None) -> None:
    lines = ("Sec-WebSocket-Protocol: b", "Set-Cookie: a=1", "Set-Cookie: b=2", "X-Unicode: é")
    result = upgraded(switching(*lines, rest=b"\x81\x02hi\r\n\r\n"), chunk=chunk)
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
        pytest.param(switching("Content-Length: 5", rest=b"12345"), id="Content-Length in a 101"),
        pytest.param(http("HTTP/1.1 100 Continue") + switching(), id="100 before it"),
        pytest.param(http("HTTP/1.1 103 Early Hints", "ByteStream: x") * 3 + switching(), id="three 103 before it"),
        pytest.param(switching(first="HTTP/1.2 101 Switching Protocols"), id="HTTP/1.2"),
        pytest.param(switching().replace(b"\r\n", b"\n"), id="bare line feeds"),
    ],
)
@pytest.mark.parametrize("chunk", [None, 1])
def test_a_101_may_be_written_in_many_ways(reply: bytes, chunk: int | None) -> None:
    assert upgraded(reply, chunk=chunk).response.status == 101


def test_a_101_may_accept_the_offered_compression() -> None:
    result = upgraded(switching('Sec-WebSocket-Extensions: permessage-deflate ; client_max_window_bits="12"'))
    assert result.response.extensions == ("permessage-deflate; client_max_window_bits=12",)
    assert result.deflate is not None
    assert result.deflate.parameters.client_max_window_bits == 12


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
    "bytes after a 1xx": (http("HTTP/1.1 100 x", rest=b"\x00\x01\r\n\r\n"), "(illegal first line)"),
    "blank line after a 1xx": (http("HTTP/1.1 100 x", rest=b"\r\n\r\n"), "(illegal first line)"),
    "bad header": (switching("Set-Cookie : secret"), "answer is not valid HTTP (illegal header line, Set-Cookie): b"),
    "NUL in a header": (switching("X: a\0b"), "the server's answer is not valid HTTP (illegal header line, X): b"),
    "no header": (switching("secret"), "the server's answer is not valid HTTP (illegal header line): b"),
    "two lengths": (http("HTTP/1.1 404 x", "Content-Length: 1, 2"), "(conflicting Content-Length headers)"),
    "unknown coding": (http("HTTP/1.1 404 x", "Transfer-Encoding: gzip"), "Only Transfer-Encoding: chunked"),
}


@pytest.mark.parametrize("name", CLIENT_REFUSALS)
def test_the_client_refuses_an_answer_that_violates_rfc_6455_and_says_why(name: str) -> None:
    reply, why = CLIENT_REFUSALS[name]
    with pytest.raises(InvalidUpgrade, match=re.escape(why)) as caught:
        answer(reply)
    assert "secret" not in "".join(traceback.format_exception(caught.value))
    for chunk in CHUNKS:
        with pytest.raises(InvalidUpgrade) as again:
            answer(reply, chunk=chunk)
        assert message(again.value) == message(caught.value)


def test_an_answer_that_is_not_http_is_shown_escaped_and_cut() -> None:
    with pytest.raises(InvalidUpgrade) as caught:
        answer(b"SSH-2.0-\xff\x1b[31m-a-very-long-name-of-a-server-and-more\r\n")
    assert str(caught.value) == (
        r"the server answered with something that is not HTTP: b'SSH-2.0-\xff\x1b[31m-a-very-long-name-of-a-ser'…"
    )


def test_an_answer_in_tls_is_recognized() -> None:
    with pytest.raises(
        InvalidUpgrade,
        match=re.escape(r"not HTTP: b'\x15\x03\x01' (which looks like TLS: is it a wss:// server?)"),
    ):
        answer(b"\x15\x03\x01")


@pytest.mark.parametrize(
    "frame",
    ["00 00 12 04 00 00000000 000300000064", "00 00 08 07 00 00000000 00000000 00000001"],
    ids=["SETTINGS", "GOAWAY"],
)
def test_a_server_that_speaks_http_2_only_is_recognized(frame: str) -> None:
    """It may be one of gRPC, or an HTTP/2 server without TLS (h2c)."""
    with pytest.raises(InvalidUpgrade, match=r"\(which looks like HTTP/2: HTTP/1\.1 is needed\)$"):
        answer(bytes.fromhex(frame))


def test_the_error_about_an_echoed_request_does_not_show_its_secrets() -> None:
    """A TCP echo server sends back the query and the Authorization."""
    handshake = ClientHandshake(REQUEST.bearer_auth("secret"))
    with pytest.raises(InvalidUpgrade, match=re.escape("not HTTP: b'GET /chat'…")) as caught:
        handshake.receive(handshake.data_to_send())
    assert "secret" not in str(caught.value)


def test_the_cause_of_the_error_is_that_of_h11() -> None:
    with pytest.raises(InvalidUpgrade) as caught:
        answer(CLIENT_REFUSALS["bad header"][0])
    assert isinstance(caught.value.__cause__, h11.RemoteProtocolError)
    assert str(caught.value.__cause__) == "illegal header line, Set-Cookie"


def test_a_long_value_is_cut_in_the_error() -> None:
    with pytest.raises(InvalidUpgrade) as caught:
        answer(switching("Sec-WebSocket-Protocol: " + "x" * 5000))
    assert len(str(caught.value)) < 200


def test_the_error_says_if_nothing_was_offered() -> None:
    with pytest.raises(InvalidUpgrade, match=r"chose subprotocol 'a', which was not offered \(offered: none\)"):
        answer(switching("Sec-WebSocket-Protocol: a"), basic_request.get("ws://h"))
    with pytest.raises(InvalidUpgrade, match=r"'permessage-deflate', which was not offered \(offered: none\)"):
        answer(switching(COMPRESSED), PLAIN)


@pytest.mark.parametrize("chunk", [None, *CHUNKS])
@pytest.mark.parametrize(
    ("reply", "body"),
    [
        pytest.param(http("HTTP/1.1 401 No", "Content-Length: 5", rest=b"12345"), b"12345", id="length"),
        pytest.param(http("HTTP/1.1 401 No", "Content-Length: 0", rest=b"rest"), b"", id="length 0"),
        pytest.param(http("HTTP/1.1 204 No", rest=b"rest"), b"", id="204"),
        pytest.param(
            http("HTTP/1.1 200 No", "Content-Length: 5", rest=b"1234567"), b"12345", id="more than the length"
        ),
        pytest.param(
            http("HTTP/1.1 503 No", "Transfer-Encoding: chunked", rest=b"3;x\r\n123\r\n2\r\n45\r\n0\r\nA: b\r\n\r\n"),
            b"12345",
            id="chunked",
        ),
        pytest.param(
            http("HTTP/1.1 100 x") + http("HTTP/1.0 403 No", "Content-Length: 1", rest=b"x"), b"x", id="100 before it"
        ),
        # the status is more useful than an error about the body
        pytest.param(
            http("HTTP/1.1 401 No", "Transfer-Encoding: chunked", rest=b"3\r\n123\r\nxyz\r\n"), b"123", id="bad chunk"
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
def test_eof_ends_the_body_of_a_rejection(lines: tuple[str, ...], chunk: int | None) -> None:
    body = b"5\r\n12345\r\n" if "chunked" in "".join(lines) else b"12345"
    assert rejected(http("HTTP/1.1 502 Bad Gateway", *lines, rest=body), chunk, end=True).body == b"12345"


def test_a_rejection_is_available_before_its_body_is_complete() -> None:
    """After a timeout, the error can still say what the server answered."""
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


CONTROL_CHARACTERS = [chr(code) for code in [*range(0x20), 0x7F] if chr(code) not in "\t\n\r"]
LINES_OVER_LIMIT = [f"X-{number}: y" for number in range(MAX_HEADER_LINES + 1)]


@pytest.mark.parametrize("chunk", [None, *CHUNKS])
@pytest.mark.parametrize("status", ["101 Switching Protocols", "404 Not Found", "103 Early Hints"])
def test_a_control_character_in_a_header_of_the_answer_is_refused(status: str, chunk: int | None) -> None:
    """RFC 9110 §5.5."""
    for character in CONTROL_CHARACTERS:
        reply = http(f"HTTP/1.1 {status}", f"X: a{character}secret")
        with pytest.raises(InvalidUpgrade, match="is not valid HTTP") as caught:
            answer(reply, chunk=chunk)
        assert "secret" not in "".join(traceback.format_exception(caught.value))


def test_a_control_character_in_the_reason_is_refused() -> None:
    """RFC 9112 §4."""
    with pytest.raises(InvalidUpgrade, match="control character in the reason"):
        rejected(http("HTTP/1.1 404 \x1b[31m", "Content-Length: 0"))


def test_the_bytes_from_80_to_9f_are_legal_and_shown_escaped() -> None:
    """A terminal may take them for control characters."""
    response = rejected(http("HTTP/1.1 404 \x9b31m\xfc", "X: \x80\x9b31m\xfc\t", "Content-Length: 0"))
    assert response.headers["X"] == "\x80\x9b31m\xfc"
    assert response.reason == "\x9b31m\xfc"
    assert response.status_line == "404 \\x9b31m\xfc"
    assert str(UpgradeRejected(response)).isprintable()
    assert repr(response).isprintable()


@pytest.mark.parametrize("chunk", [None, *CHUNKS])
@pytest.mark.parametrize("status", ["101 Switching Protocols", "404 Not Found", "103 Early Hints"])
def test_more_than_128_header_lines_of_an_answer_are_refused(status: str, chunk: int | None) -> None:
    with pytest.raises(InvalidUpgrade, match="more than 128 header lines"):
        answer(http(f"HTTP/1.1 {status}", *LINES_OVER_LIMIT), chunk=chunk)
    with pytest.raises(InvalidUpgrade, match="more than 128 header lines"):
        answer(http(f"HTTP/1.1 {status}", *LINES_OVER_LIMIT)[:-2], chunk=chunk)  # without its end
    lines = [*LINES_OVER_LIMIT[:-2], "Content-Length: 0"]
    assert len(rejected(http("HTTP/1.1 404 Not Found", *lines), chunk).headers.pairs) == MAX_HEADER_LINES


CHUNKED = http("HTTP/1.1 500 x", "Transfer-Encoding: chunked")


@pytest.mark.parametrize("chunk", [None, 997, 65536])
@pytest.mark.parametrize(
    ("reply", "kept"),
    [
        pytest.param(
            http("HTTP/1.1 500 x", "Content-Length: 65536", rest=b"x" * MAX_BODY), MAX_BODY, id="exactly the limit"
        ),
        pytest.param(
            http("HTTP/1.1 500 x", "Content-Length: 65537", rest=b"x" * MAX_BODY), MAX_BODY, id="one byte missing"
        ),
        pytest.param(http("HTTP/1.1 500 x", rest=b"x" * 10 * MAX_BODY), MAX_BODY, id="no length"),
        pytest.param(CHUNKED + (b"ffff\r\n" + b"x" * 0xFFFF + b"\r\n") * 2, MAX_BODY, id="chunked"),
        pytest.param(CHUNKED + b"1\r\nx\r\n" * MAX_BODY, None, id="small chunks"),
        pytest.param(CHUNKED + b"1\r\nx\r\n1;" + b"x" * 3 * MAX_BODY, 1, id="endless chunk header"),
        pytest.param(CHUNKED + b"1\r\nx\r\n0\r\n" + b"A: b\r\n" * MAX_BODY, 1, id="endless trailer"),
    ],
)
def test_at_most_64_kib_of_a_body_are_kept_and_the_rest_is_not_awaited(
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
        pytest.param(http("HTTP/1.1 103 x", "X: " + "y" * 1000) * 100 + switching(), id="1xx with headers"),
        pytest.param(b"HTTP/1.1 101 x\r\nX: " + b"y" * 100_000, id="one line"),
        pytest.param(b"HTTP/1.1 401 " + b"x" * 100_000, id="reason"),
    ],
)
def test_an_endless_header_is_refused(reply: bytes, chunk: int | None) -> None:
    with pytest.raises(InvalidUpgrade, match=r"the header of the server's answer is over 65536 bytes"):
        answer(reply, chunk=chunk)


@pytest.mark.parametrize("chunk", [None, *CHUNKS])
def test_the_limit_on_the_lines_of_1xx_answers_is_exact_in_every_chunking(chunk: int | None) -> None:
    lines = switching().count(b"\n")
    before = http("HTTP/1.1 102 x") * ((MAX_LINES - lines) // 2 - 1)
    most = before + http("HTTP/1.1 103 x", *["X: y"] * (lines % 2))
    assert upgraded(most + switching() + b"\n" * 9, chunk=chunk).trailing == b"\n" * 9
    with pytest.raises(InvalidUpgrade, match=r"answer is over 512 lines long, with its 1xx answers$"):
        answer(most + http("HTTP/1.1 102 x") + switching(), chunk=chunk)


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(http("HTTP/1.1 102 ") * 5000, id="1xx"),
        pytest.param(http("HTTP/1.1 102 ", *["A:"] * MAX_HEADER_LINES) * 150, id="1xx with many lines"),
        pytest.param(http("HTTP/1.1 404 x", *["A:"] * 20_000), id="many lines"),
        pytest.param(CHUNKED + b"1\r\nx\r\n" * 30_000, id="chunks"),
        pytest.param(CHUNKED + b"0\r\n" + b"A:\r\n" * 30_000 + b"\r\n", id="trailer"),
        pytest.param(
            http("HTTP/1.1 102 ") * (MAX_LINES // 2 - 2) + CHUNKED + b"1\r\nx\r\n" * 30_000, id="1xx and chunks"
        ),
    ],
)
def test_an_answer_that_comes_at_once_holds_up_an_event_loop_for_a_bounded_number_of_calls(reply: bytes) -> None:
    handshake, calls = ClientHandshake(REQUEST), 0

    def note(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        with contextlib.suppress(InvalidUpgrade):
            handshake.receive(reply)
    finally:
        sys.setprofile(None)
    assert handshake.is_over
    assert calls < 150_000


@pytest.mark.parametrize("chunk", [None, 997, 65536])
def test_a_body_is_cut_after_its_last_allowed_line(chunk: int | None) -> None:
    body = b"x\n" * 2 * MAX_BODY_LINES
    kept = rejected(http("HTTP/1.1 500 x", f"Content-Length: {len(body)}", rest=body), chunk).body
    assert body.startswith(kept)
    assert MAX_BODY_LINES <= kept.count(b"\n") <= MAX_BODY_LINES + MAX_LINES


@pytest.mark.parametrize("chunk", [None, 997, 65536])
def test_the_limit_on_a_header_is_exact_in_every_chunking(chunk: int | None) -> None:
    least = len(switching("X: ").replace(b"{accept}", SAMPLE_ACCEPT.encode()))
    longest = switching("X: " + "y" * (MAX_HEADER - least))
    assert upgraded(longest + b"after", chunk=chunk).trailing == b"after"
    with pytest.raises(InvalidUpgrade, match="is over 65536 bytes"):
        answer(longest.replace(b"X: ", b"XX: "), chunk=chunk)


def test_eof_instead_of_an_answer_is_named() -> None:
    with pytest.raises(
        InvalidUpgrade, match=r"^the server closed the connection without an answer; is it a wss:// server\?$"
    ):
        answer(b"", end=True)


@pytest.mark.parametrize("reply", [b"H", b"HTTP/1.1 101 x\r\nUpgr", switching()[:-1], http("HTTP/1.1 100 x")])
def test_eof_within_a_header_is_named(reply: bytes) -> None:
    with pytest.raises(
        InvalidUpgrade, match=r"closed the connection before its answer was complete; it began with b'H"
    ):
        answer(reply, end=True)


@pytest.mark.parametrize("reply", [switching(), http("HTTP/1.1 404 x", "Content-Length: 0"), b"x", b""])
def test_a_finished_handshake_accepts_no_more_bytes(reply: bytes) -> None:
    handshake, sent = begin(REQUEST)
    with contextlib.suppress(InvalidUpgrade):
        handshake.receive(reply.replace(b"{accept}", accept_value(sent["Sec-WebSocket-Key"]).encode()))
    with pytest.raises(RuntimeError, match="the opening handshake is over"):
        handshake.receive(b"x")
