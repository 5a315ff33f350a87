"""A server that doesn't speak WebSocket, violates the opening handshake, refuses it, or redirects.

Each test checks the error's class, its text, the data that it carries, and that the connection is closed.
"""

from __future__ import annotations

import pathlib
import socket
import ssl
import sys

import pytest

from polysocket import (
    InvalidUpgrade,
    OpeningFailed,
    OpenTimeout,
    RedirectRefused,
    Request,
    UpgradeRejected,
    basic_request,
)
from polysocket._core.header_fields import MalformedHeader
from tests.bad_input.judgement import says
from tests.bad_input.peer import SWITCHING, Conversation, Peer, Script, answering, upgrading
from tests.bad_input.programs import nothing
from tests.interop.flavours import Flavour

KIB = 1024
SHORT = 0.05  # seconds, for servers that stay silent


def http(status: str, *fields: str, body: bytes = b"") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields, "", ""]).encode() + body


# An answer other than 101

PAGE = b"<!doctype html><title>Welcome</title>"
REJECTIONS = {
    "200 OK": PAGE,
    "401 Unauthorized": b'{"error": "no token"}',
    "403 Forbidden": b"not from there",
    "404 Not Found": b"no such chat",
    "426 Upgrade Required": b"",
    "500 Internal Server Error": b"Traceback \xff",
    "503 Service Unavailable": b"later",
}


@pytest.mark.parametrize(("status", "body"), REJECTIONS.items(), ids=REJECTIONS)
def test_a_rejection_has_the_status_headers_and_body_of_the_answer(flavour: Flavour, status: str, body: bytes) -> None:
    answer = http(status, "Content-Type: text/html", "Set-Cookie: a=1", "Set-Cookie: b=2", body=body)
    with Peer(answering(answer)) as peer, pytest.raises(UpgradeRejected) as caught:
        flavour.open(peer.url, nothing)
    says(caught.value, f"the server did not upgrade: it answered {status}")
    assert isinstance(caught.value, OpeningFailed)
    assert caught.value.__cause__ is None
    response = caught.value.response
    assert response.status == int(status[:3])
    assert response.reason == status[4:]
    assert response.body == body
    assert response.headers["content-type"] == "text/html"
    assert response.headers.get_all("set-cookie") == ["a=1", "b=2"]


def test_the_error_of_a_rejection_says_how_to_get_its_body(flavour: Flavour) -> None:
    with Peer(answering(http("200 OK", body=PAGE))) as peer, pytest.raises(UpgradeRejected) as caught:
        flavour.open(peer.url, nothing)
    says(caught.value, "200 OK", ".response.body")


def endless(header: bytes, piece: bytes) -> Script:
    def script(conversation: Conversation) -> None:
        conversation.answer(header)
        conversation.send_until_refused(piece)

    return script


ENDLESS_BODIES = {
    "to the end of the connection": endless(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * KIB),
    "with a length": endless(b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n", b"x" * KIB),
    "in chunks": endless(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"400\r\n" + b"x" * KIB + b"\r\n"),
}


@pytest.mark.parametrize("script", ENDLESS_BODIES.values(), ids=ENDLESS_BODIES)
def test_at_most_64_kib_of_an_endless_body_are_kept(flavour: Flavour, script: Script) -> None:
    with Peer(script) as peer, pytest.raises(UpgradeRejected) as caught:
        flavour.open(peer.url, nothing)
    assert caught.value.response.status == 200
    assert caught.value.response.body == b"x" * 64 * KIB


def test_the_part_of_a_body_that_arrived_before_the_timeout_is_kept(flavour: Flavour) -> None:
    answer = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 100\r\n\r\nwhy: "
    with Peer(answering(answer)) as peer, pytest.raises(UpgradeRejected) as caught:
        flavour.open(peer.url, nothing, open_timeout=SHORT)
    says(caught.value, "403 Forbidden")
    assert caught.value.response.body == b"why: "
    assert caught.value.__cause__ is None


# No answer, or one that is not HTTP


def silent(conversation: Conversation) -> None:
    conversation.read_request()


def leaving(answer: bytes) -> Script:
    def script(conversation: Conversation) -> None:
        conversation.answer(answer)
        conversation.end_sending()

    return script


NO_HTTP = {
    "an SSH server": (
        lambda conversation: conversation.send(b"SSH-2.0-OpenSSH_9.6\r\n"),
        "the server answered with something that is not HTTP: b'SSH-2.0-OpenSSH_9.6'…",
    ),
    "a mail server": (
        lambda conversation: conversation.send(b"220 mail.example ESMTP\r\n"),
        "the server answered with something that is not HTTP: b'220 mail.example ESMTP'…",
    ),
    "bytes": (
        lambda conversation: conversation.send(bytes(range(200, 250))),
        f"the server answered with something that is not HTTP: {bytes(range(200, 240))!r}…",
    ),
    "an endless header": (
        endless(b"HTTP/1.1 200 OK\r\n", b"X-A: " + b"a" * KIB + b"\r\n"),
        "the header of the server's answer is over 65536 bytes",
    ),
    "an endless line": (
        endless(b"HTTP/1.1 200 OK\r\nX-A: ", b"a" * KIB),
        "the header of the server's answer is over 65536 bytes",
    ),
    "an endless series of 1xx answers": (
        endless(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n"),
        "the header of the server's answer is over 512 lines long, with its 1xx answers",
    ),
    "an end without an answer": (
        leaving(b""),
        "the server closed the connection without an answer; is it a wss:// server?",
    ),
    "an end within the answer": (
        leaving(b"HTTP/1.1 101 Swi"),
        "the server closed the connection before its answer was complete; it began with b'HTTP/1.1 101 Swi'",
    ),
    "a malformed header": (
        answering(b"HTTP/1.1 101 Switching Protocols\r\nno colon\r\n\r\n"),
        "the server's answer is not valid HTTP (illegal header line): b'HTTP/1.1 101 Switching Protocols'…",
    ),
}


@pytest.mark.parametrize(("script", "text"), NO_HTTP.values(), ids=NO_HTTP)
def test_an_answer_that_is_not_http_is_refused_with_the_reason(flavour: Flavour, script: Script, text: str) -> None:
    with Peer(script) as peer, pytest.raises(InvalidUpgrade) as caught:
        flavour.open(peer.url, nothing)
    assert str(caught.value) == text


SILENCES: dict[str, Script] = {
    "no answer": silent,
    "half an answer": answering(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: web"),
    "one 1xx answer": answering(b"HTTP/1.1 102 Processing\r\n\r\n"),
}


@pytest.mark.parametrize("script", SILENCES.values(), ids=SILENCES)
def test_a_silent_server_ends_with_the_url_and_the_open_timeout(flavour: Flavour, script: Script) -> None:
    with Peer(script) as peer, pytest.raises(OpenTimeout) as caught:
        flavour.open(f"{peer.url}chat?token=secret", nothing, open_timeout=SHORT)
    assert str(caught.value) == f"{peer.url}chat was not open within 0.05 seconds: still in the opening handshake"
    assert isinstance(caught.value, TimeoutError)
    assert isinstance(caught.value, OpeningFailed)
    assert caught.value.__cause__ is None


def test_open_timeout_ends_a_silent_tls_handshake(flavour: Flavour, trusting: ssl.SSLContext) -> None:
    with Peer(lambda _: None) as peer, pytest.raises(OpenTimeout) as caught:
        flavour.open(f"wss://localhost:{peer.port}/", nothing, ssl=trusting, open_timeout=SHORT)
    assert (
        str(caught.value)
        == f"wss://localhost:{peer.port}/ was not open within 0.05 seconds: still in the TLS handshake"
        "; is it a ws:// server?"
    )


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse a connection to a full backlog")
def test_open_timeout_ends_connecting_to_a_server_that_does_not_accept(flavour: Flavour) -> None:
    with (
        socket.create_server(("127.0.0.1", 0), backlog=0) as listener,
        socket.create_connection(listener.getsockname()),
    ):
        url = f"ws://127.0.0.1:{listener.getsockname()[1]}/"
        with pytest.raises(OpenTimeout) as caught:
            flavour.open(url, nothing, open_timeout=SHORT)
    assert str(caught.value) == f"{url} was not open within 0.05 seconds: still connecting"


# A wrong 101 (RFC 6455 §4.1)


def switching(*fields: str, without: str = "-") -> bytes:
    kept = [line for line in SWITCHING.decode().split("\r\n") if line and not line.startswith(without)]
    return "\r\n".join([*kept, *fields, "", ""]).encode()


OFFERED = "(offered: 'permessage-deflate')"
DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate"
WRONG_SWITCHES = {
    "no Upgrade": (
        switching(without="Upgrade"),
        "the server's 101 must have Upgrade: websocket, but has none",
    ),
    "another Upgrade": (
        switching("Upgrade: h2c", without="Upgrade"),
        "the server's 101 must have Upgrade: websocket, but has 'h2c'",
    ),
    "no Connection": (
        switching(without="Connection"),
        "the server's 101 must have Connection: Upgrade, but has none",
    ),
    "another Connection": (
        switching("Connection: keep-alive", without="Connection"),
        "the server's 101 must have Connection: Upgrade, but has 'keep-alive'",
    ),
    "no accept": (
        switching(without="Sec-WebSocket-Accept"),
        "the server's 101 has no Sec-WebSocket-Accept header",
    ),
    "two accepts": (
        switching("Sec-WebSocket-Accept: {accept}"),
        "the server's Sec-WebSocket-Accept header comes 2 times, but may come only once",
    ),
    "HTTP/1.0": (
        switching().replace(b"HTTP/1.1", b"HTTP/1.0"),
        "the server answered 101 in HTTP/1.0, but only HTTP/1.1 can upgrade",
    ),
    "a subprotocol": (
        switching("Sec-WebSocket-Protocol: chat"),
        "the server chose subprotocol 'chat', which was not offered (offered: none)",
    ),
    "an extension": (
        switching("Sec-WebSocket-Extensions: x-webkit-deflate-frame"),
        f"the server chose extension 'x-webkit-deflate-frame', which was not offered {OFFERED}",
    ),
    "an extension twice": (
        switching("Sec-WebSocket-Extensions: permessage-deflate, permessage-deflate"),
        "the server chose extension 'permessage-deflate' 2 times",
    ),
    "an extension's header twice": (
        switching(DEFLATE, DEFLATE),
        "the server's Sec-WebSocket-Extensions header comes 2 times, but may come only once",
    ),
    "a malformed extension": (
        switching("Sec-WebSocket-Extensions: permessage-deflate; =15"),
        "the server's Sec-WebSocket-Extensions header is malformed: ';' at character 19",
    ),
    "window bits too few": (
        switching(f"{DEFLATE}; server_max_window_bits=7"),
        "permessage-deflate: server_max_window_bits needs a number from 8 to 15, but has '7'",
    ),
    "window bits too many": (
        switching(f"{DEFLATE}; client_max_window_bits=16"),
        "permessage-deflate: client_max_window_bits needs a number from 8 to 15, but has '16'",
    ),
    "window bits with a zero": (
        switching(f"{DEFLATE}; server_max_window_bits=08"),
        "permessage-deflate: server_max_window_bits needs a number from 8 to 15, but has '08'",
    ),
    "window bits without a value": (
        switching(f"{DEFLATE}; client_max_window_bits"),
        "permessage-deflate: client_max_window_bits needs a value in an answer",
    ),
    "a flag with a value": (
        switching(f"{DEFLATE}; server_no_context_takeover=true"),
        "permessage-deflate: server_no_context_takeover takes no value, but has 'true'",
    ),
    "an unknown parameter": (
        switching(f"{DEFLATE}; level=9"),
        "permessage-deflate: there is no parameter 'level'",
    ),
    "a parameter twice": (
        switching(f"{DEFLATE}; server_max_window_bits=9; server_max_window_bits=9"),
        "permessage-deflate: server_max_window_bits is there twice",
    ),
}


@pytest.mark.parametrize(("answer", "text"), WRONG_SWITCHES.values(), ids=WRONG_SWITCHES)
def test_the_error_about_a_wrong_101_names_the_wrong_field(flavour: Flavour, answer: bytes, text: str) -> None:
    with Peer(answering(answer)) as peer, pytest.raises(InvalidUpgrade) as caught:
        flavour.open(peer.url, nothing)
    assert str(caught.value) == text
    assert caught.value.__cause__ is None or isinstance(caught.value.__cause__, MalformedHeader)
    assert peer.conversation.received == b""  # RFC 6455 §4.1: the client sends no Close, because no websocket is open


def test_a_wrong_accept_value_is_shown_with_the_right_one(flavour: Flavour) -> None:
    answer = switching("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", without="Sec-WebSocket-Accept")
    with Peer(answering(answer)) as peer, pytest.raises(InvalidUpgrade) as caught:
        flavour.open(peer.url, nothing)
    due = peer.conversation.accept_due.decode()
    assert str(caught.value) == (
        f"the server's Sec-WebSocket-Accept is 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=', but {due!r} was due"
    )


def test_a_subprotocol_that_was_not_offered_is_named_with_the_offered_ones(flavour: Flavour) -> None:
    with (
        Peer(upgrading(fields=b"Sec-WebSocket-Protocol: chat\r\n")) as peer,
        pytest.raises(InvalidUpgrade) as caught,
    ):
        flavour.open(basic_request.get(peer.url).subprotocol("v2.chat", "v1.chat"), nothing)
    assert str(caught.value) == (
        "the server chose subprotocol 'chat', which was not offered (offered: 'v2.chat', 'v1.chat')"
    )


def test_compression_that_was_not_offered_is_refused(flavour: Flavour) -> None:
    with Peer(answering(switching(DEFLATE))) as peer, pytest.raises(InvalidUpgrade) as caught:
        flavour.open(peer.url, nothing, compression=None)
    assert str(caught.value) == (
        "the server chose extension 'permessage-deflate', which was not offered (offered: none)"
    )


# Redirects


def redirecting(*locations: str, status: str = "302 Found") -> Script:
    return answering(http(status, *(f"Location: {location}" for location in locations)))


WRONG_LOCATIONS: dict[str, tuple[tuple[str, ...], str]] = {
    "none": ((), "the server answered 302 Found, which needs one Location, but it has none"),
    "two": (("/a", "/b"), "the server answered 302 Found, which needs one Location, but it has 2"),
    "of another scheme": (
        ("ftp://example.com/",),
        (
            "the server answered 302 Found with a Location that can't be used: "
            "'ftp://example.com/' is not a WebSocket URL: it must begin with ws://, wss://, http:// or https://"
        ),
    ),
    "with a user": (
        ("ws://me:secret@localhost/a",),
        "the server redirects to a Location with a user name in it: ws://localhost/a",
    ),
}


@pytest.mark.parametrize(("locations", "text"), WRONG_LOCATIONS.values(), ids=WRONG_LOCATIONS)
def test_a_redirect_without_a_usable_location_is_refused(
    flavour: Flavour, locations: tuple[str, ...], text: str
) -> None:
    with Peer(redirecting(*locations)) as peer, pytest.raises(RedirectRefused) as caught:
        flavour.open(peer.url, nothing)
    assert str(caught.value) == text
    assert isinstance(caught.value, UpgradeRejected)
    assert caught.value.response.status == 302
    assert caught.value.response.headers.get_all("location") == list(locations)


@pytest.mark.parametrize(
    ("limit", "request_", "connections"),
    [(10, basic_request, 11), (2, basic_request.follow_redirects(2), 3), (0, basic_request.follow_redirects(0), 1)],
    ids=["default", "two", "none"],
)
def test_too_many_redirects_are_refused_with_the_limit(
    flavour: Flavour, limit: int, request_: Request, connections: int
) -> None:
    with (
        Peer(redirecting("/again", status="307 Temporary Redirect"), connections=connections) as peer,
        pytest.raises(RedirectRefused) as caught,
    ):
        flavour.open(request_.get(peer.url), nothing)
    says(caught.value, "the server answered 307 Temporary Redirect", f"max_redirects={limit} allows no more")
    assert caught.value.response.headers["location"] == "/again"
    assert len(peer.conversations) == connections


@pytest.mark.parametrize("scheme", ["ws", "http"])
def test_a_redirect_from_wss_to_ws_is_refused(
    flavour: Flavour, localhost: ssl.SSLContext, trusting: ssl.SSLContext, scheme: str
) -> None:
    with (
        Peer(redirecting(f"{scheme}://localhost:1/chat?a=b"), tls=localhost) as peer,
        pytest.raises(RedirectRefused) as caught,
    ):
        flavour.open(peer.url, nothing, ssl=trusting)
    assert str(caught.value) == ("the server redirects from wss to ws, which is not encrypted: ws://localhost:1/chat")


def test_the_error_of_a_redirect_to_a_refused_port_names_both_servers(flavour: Flavour) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with Peer(redirecting(f"ws://127.0.0.1:{port}/")) as peer, pytest.raises(OpeningFailed) as caught:
        flavour.open(peer.url, nothing)
    says(caught.value, f"127.0.0.1 port {port}", "redirect", str(peer.port))


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no Unix sockets on this system")
def test_a_redirect_from_a_unix_socket_is_refused_with_the_reason(flavour: Flavour, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "server"
    with Peer(redirecting("/again"), unix_path=path) as peer, pytest.raises(RedirectRefused) as caught:
        flavour.open(peer.url, nothing, unix_path=path)
    says(caught.value, "302 Found", "redirect", "unix_path")
