"""The server's opening handshake, demand by demand (RFC 6455 §4.2); each request in every chunking."""

from __future__ import annotations

import base64
import re
import traceback
from collections.abc import Callable

import h11
import pytest

from polysocket._core.http1 import MAX_HEADER
from polysocket._core.server_handshake import ServerHandshake
from tests.handshakes import (
    CHUNKS,
    EXTENSIONS,
    SAMPLE_KEY,
    message,
    opening,
    refusal,
    rejected,
    serve,
)


@pytest.mark.parametrize("chunk", [None, *CHUNKS])
def test_a_request_has_the_target_host_subprotocols_and_origin_of_the_client(chunk: int | None) -> None:
    lines = ("Sec-WebSocket-Protocol: a,b", "Origin: http://x", "sec-websocket-protocol: c", "X: \xe9")
    handshake, request, rest = serve(opening(*lines, rest=b"\x81\x80"), chunk)
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
def test_any_other_bytes_before_a_request_are_refused(before: bytes, chunk: int | None) -> None:
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
        opening("Content-Length: 4", rest=b"body"),
        400,
        "the request has a body, but an opening handshake has none",
    ),
    "chunked body": (opening("Transfer-Encoding: chunked"), 400, "the request has a body"),
    "unknown coding": (opening("Transfer-Encoding: gzip"), 501, "Only Transfer-Encoding: chunked is supported"),
    "bad length": (opening("Content-Length: x"), 400, "the request is not valid HTTP (bad Content-Length): b"),
    "TLS": (b"\x16\x03\x01\x02\x00", 400, "(which looks like TLS: the client's URL may have to begin with ws://)"),
    "blank line": (b"\r\n\r\n", 400, "the request is not valid HTTP (illegal first line): b"),
    "no HTTP": (b"GET /?secret\r\n\r\n", 400, "the request is not valid HTTP (illegal first line): b"),
    "control character": (opening("Cookie: \x1csecret"), 400, "(control character in the header Cookie): b"),
    "DEL": (opening("Cookie: \x7fsecret"), 400, "(control character in the header Cookie): b"),
    "many lines": (opening(*[f"X: {number}" for number in range(125)]), 431, "(more than 128 header lines): b"),
    "many lines, no end": (opening(*["X: y"] * 125)[:-2], 431, "(more than 128 header lines): b"),
    "bad header": (opening("Authorization : Bearer secret"), 400, "(illegal header line, Authorization): b"),
    "no header": (opening("secret"), 400, "the request is not valid HTTP (illegal header line): b"),
}


@pytest.mark.parametrize("name", SERVER_REFUSALS)
def test_the_server_refuses_a_request_that_violates_rfc_6455_and_says_why(name: str) -> None:
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
def test_bytes_after_a_request_do_not_count_as_its_header(chunk: int | None) -> None:
    handshake, _, rest = serve(opening(rest=b"x" * 70_000), chunk)
    assert handshake.accept().trailing + rest == b"x" * 70_000


@pytest.mark.parametrize("chunk", [None, 997, 65536])
def test_the_limit_on_the_header_of_a_request_is_exact_in_every_chunking(chunk: int | None) -> None:
    longest = opening("X: " + "y" * (MAX_HEADER - len(opening("X: "))))
    assert serve(longest, chunk)[1].target == "/chat?token=secret"
    assert rejected(refusal(longest.replace(b"X: ", b"XX: "), chunk)[1]).status == 431


def test_the_cause_of_a_refusal_is_the_error_of_h11_if_there_is_one() -> None:
    assert isinstance(refusal(SERVER_REFUSALS["bad header"][0])[0].__cause__, h11.RemoteProtocolError)
    assert refusal(SERVER_REFUSALS["POST"][0])[0].__cause__ is None


def test_eof_instead_of_a_request_is_named() -> None:
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
def test_the_first_acceptable_offer_of_compression_is_accepted(offers: list[str], chosen: str | None) -> None:
    handshake, _, _ = serve(opening(*(f"Sec-WebSocket-Extensions: {offer}" for offer in offers)))
    result = handshake.accept()
    sent = handshake.data_to_send().decode()
    assert (result.deflate is not None) == (chosen is not None) == ("Sec-WebSocket-Extensions" in sent)
    if chosen is not None:
        (extension,) = result.response.extensions
        assert extension.startswith("permessage-deflate")
        assert extension.endswith(chosen.removeprefix("…"))
        assert f"Sec-WebSocket-Extensions: {extension}\r\n" in sent


def test_without_compression_no_offer_is_accepted() -> None:
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
def test_an_answer_that_cannot_be_sent_is_refused_and_another_may_follow(answer_: Answer, why: str) -> None:
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
def test_rejecting_answers_with_the_given_status(
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


def test_a_request_cannot_be_answered_before_it_has_arrived() -> None:
    handshake = ServerHandshake(None, None)
    handshake.receive(opening()[:-1])
    with pytest.raises(RuntimeError, match="there is no request"):
        handshake.accept()


def test_bytes_after_the_request_belong_to_the_connection() -> None:
    handshake, _, _ = serve(opening())
    with pytest.raises(RuntimeError, match="belong to the connection"):
        handshake.receive(b"x")


def test_a_head_request_with_a_control_character_is_refused_without_a_body() -> None:
    """h11 has read the request when its header is refused, so it takes no body for the answer (RFC 9110 §9.3.2)."""
    _, sent = refusal(opening("X: a\x0eb", first="HEAD / HTTP/1.1"))
    assert sent.startswith(b"HTTP/1.1 400 ")
    assert sent.endswith(b"\r\n\r\n")
