"""Connecting fails: a wrong URL, an unknown host, a refused port, a TLS error, options that exclude each other.

The error's text is the same in every flavour; it ends with the words of the system, if there are any.
"""

from __future__ import annotations

import errno
import os
import pathlib
import pickle
import socket
import ssl

import pytest

from polysocket import ConnectFailed, InvalidRequest, InvalidURL, OpeningFailed, basic_request
from tests.bad_input.judgement import says
from tests.bad_input.peer import Conversation, Peer, answering
from tests.bad_input.programs import nothing
from tests.interop.flavours import Flavour

needs_unix_sockets = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no Unix sockets on this system")


@pytest.fixture
def refused_port() -> int:
    """A port of 127.0.0.1 that refuses connections."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


BEGIN = "it must begin with ws://, wss://, http:// or https://"
WRONG_URLS = {
    "ftp://example.com/": f"'ftp://example.com/' is not a WebSocket URL: {BEGIN}",
    "example.com/chat": f"'example.com/chat' is not a WebSocket URL: {BEGIN}",
    "localhost:8080": f"'localhost:8080' is not a WebSocket URL: {BEGIN}",
    "//example.com/": f"'//example.com/' is not a WebSocket URL: {BEGIN}",
    "": f"'' is not a WebSocket URL: {BEGIN}",
    "ws://": "'ws://' names no host",
    "wss:///chat": "'wss:///chat' names no host",
    "ws://:8080/": "'ws://:8080/' names no host",
    "ws://example.com:0/": "'ws://example.com:0/' names port 0, to which nothing can connect",
    "ws://example.com/#top": "'ws://example.com/#…' has a fragment ('#…'), which a WebSocket URL may not have",
    "ws://example.com/#": "'ws://example.com/#…' has a fragment ('#…'), which a WebSocket URL may not have",
    "ws://exam ple.com/": "'ws://exam ple.com/' has a space or control character in it",
    "ws://example.com/\n": "'ws://example.com/\\n' has a space or control character in it",
    "ws://a..example/": (
        "'ws://a..example/' has a host that is not a domain name: each part has from 1 to 63 characters"
    ),
}


@pytest.mark.parametrize(("url", "text"), WRONG_URLS.items(), ids=WRONG_URLS)
def test_an_invalid_url_is_shown_with_the_reason(flavour: Flavour, url: str, text: str) -> None:
    with pytest.raises(InvalidURL) as caught:
        flavour.open(url, nothing)
    assert str(caught.value) == text
    assert isinstance(caught.value, ValueError)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("ws://example.com:99999/", ["'ws://example.com:99999/'", "port", "65535"]),
        ("ws://example.com:http/", ["'ws://example.com:http/'", "port", "'http'"]),
        ("ws://[::1/", ["'ws://[::1/'", "IPv6"]),
        ("ws://\ud800.example/", ["host", "domain name"]),
    ],
    ids=["port out of range", "port is not a number", "open bracket", "surrogate"],
)
def test_a_url_that_cannot_be_parsed_is_shown_with_the_reason(flavour: Flavour, url: str, parts: list[str]) -> None:
    with pytest.raises(InvalidURL) as caught:
        flavour.open(url, nothing)
    says(caught.value, *parts)


@pytest.mark.parametrize("target", [None, b"ws://example.com/", 80, pathlib.PurePath("ws")], ids=repr)
def test_the_error_names_the_type_of_a_url_that_is_not_a_str(flavour: Flavour, target: str) -> None:
    with pytest.raises(InvalidURL) as caught:
        flavour.open(target, nothing)
    assert str(caught.value) == f"a WebSocket URL is a str, not {type(target).__name__}"


def test_an_invalid_url_is_shown_without_its_secrets(flavour: Flavour) -> None:
    with pytest.raises(InvalidURL) as caught:
        flavour.open("ftp://me:secret@example.com/?token=secret", nothing)
    assert str(caught.value) == f"'//…@example.com/?…' is not a WebSocket URL: {BEGIN}"


def test_the_error_about_a_request_without_a_url_says_how_to_set_it(flavour: Flavour) -> None:
    with pytest.raises(InvalidRequest) as caught:
        flavour.open(basic_request.header("X-A", "1"), nothing)
    says(caught.value, "URL", ".get(")


def test_an_unknown_host_is_named(flavour: Flavour) -> None:
    with pytest.raises(ConnectFailed) as caught:
        flavour.open("ws://no-such-host.invalid/", nothing)
    says(caught.value, "could not connect to no-such-host.invalid port 80: ")
    assert isinstance(caught.value, OSError)
    assert isinstance(caught.value, OpeningFailed)
    assert isinstance(caught.value.__cause__, socket.gaierror)
    assert caught.value.errno == caught.value.__cause__.errno


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_a_refused_port_is_named(flavour: Flavour, refused_port: int, scheme: str) -> None:
    with pytest.raises(ConnectFailed) as caught:
        flavour.open(f"{scheme}://127.0.0.1:{refused_port}/", nothing)
    reason = f"[Errno {errno.ECONNREFUSED}] {os.strerror(errno.ECONNREFUSED)}"
    assert str(caught.value) == f"could not connect to 127.0.0.1 port {refused_port}: {reason}"
    assert caught.value.errno == errno.ECONNREFUSED
    assert pickle.loads(pickle.dumps(caught.value)).errno == errno.ECONNREFUSED
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)
    assert caught.value.__cause__.__cause__ is None  # a short traceback


@needs_unix_sockets
def test_a_missing_unix_socket_is_named(flavour: Flavour, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "missing"
    with pytest.raises(ConnectFailed) as caught:
        flavour.open("ws://localhost/", nothing, unix_path=path)
    says(caught.value, f"could not connect to the Unix socket {path}: ", "No such file or directory")
    assert isinstance(caught.value.__cause__, FileNotFoundError)
    assert caught.value.errno == errno.ENOENT


@needs_unix_sockets
def test_a_file_that_is_not_a_unix_socket_is_named(flavour: Flavour, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "page.html"
    path.touch()
    with pytest.raises(ConnectFailed) as caught:
        flavour.open("ws://localhost/", nothing, unix_path=path)
    says(caught.value, f"could not connect to the Unix socket {path}: ", "refused")


# TLS


def never(_: Conversation) -> None:
    raise AssertionError("the client went on after a TLS handshake that it must refuse")


def test_a_certificate_for_another_name_is_refused(
    flavour: Flavour, elsewhere: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    with Peer(never, tls=elsewhere) as peer, pytest.raises(ConnectFailed) as caught:
        flavour.open(f"wss://localhost:{peer.port}/", nothing, ssl=trusting)
    says(caught.value, "TLS", f"localhost port {peer.port}", "certificate", "not valid for 'localhost'")
    assert "ssl=" not in str(caught.value)  # more trust would not help
    assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)


def test_a_certificate_for_another_address_is_refused(
    flavour: Flavour, elsewhere: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    with Peer(never, tls=elsewhere) as peer, pytest.raises(ConnectFailed) as caught:
        flavour.open(peer.url, nothing, ssl=trusting)
    says(caught.value, "TLS", f"127.0.0.1 port {peer.port}", "certificate", "not valid for '127.0.0.1'")
    assert "ssl=" not in str(caught.value)  # more trust would not help


def test_a_certificate_of_an_unknown_authority_is_refused_and_the_error_names_the_ssl_option(
    flavour: Flavour, localhost: ssl.SSLContext
) -> None:
    with Peer(never, tls=localhost) as peer, pytest.raises(ConnectFailed) as caught:
        flavour.open(f"wss://localhost:{peer.port}/", nothing)
    says(caught.value, "TLS", f"localhost port {peer.port}", "certificate", "issuer", "ssl=")
    assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)


def test_the_error_suggests_a_ws_url_if_the_server_does_not_speak_tls(
    flavour: Flavour, trusting: ssl.SSLContext
) -> None:
    def refuse(conversation: Conversation) -> None:
        conversation.send(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")

    with Peer(refuse) as peer, pytest.raises(ConnectFailed) as caught:
        flavour.open(f"wss://localhost:{peer.port}/", nothing, ssl=trusting)
    says(caught.value, "TLS", f"localhost port {peer.port}", "ws://")
    assert isinstance(caught.value.__cause__, ssl.SSLError)


def test_the_error_says_if_the_connection_ended_during_the_tls_handshake(
    flavour: Flavour, trusting: ssl.SSLContext
) -> None:
    with Peer(Conversation.end_sending) as peer, pytest.raises(ConnectFailed) as caught:
        flavour.open(f"wss://localhost:{peer.port}/", nothing, ssl=trusting)
    says(caught.value, f"localhost port {peer.port}", "the connection ended during the TLS handshake")
    assert isinstance(caught.value.__cause__, ssl.SSLEOFError)


def test_the_error_suggests_a_wss_url_if_the_server_speaks_tls(flavour: Flavour) -> None:
    alert = bytes.fromhex("15 03 03 00 02 02 46")  # fatal, protocol_version: OpenSSL's answer to an HTTP request
    with Peer(answering(alert)) as peer, pytest.raises(OpeningFailed) as caught:
        flavour.open(peer.url, nothing)
    says(caught.value, "TLS", "wss://")


# Options that exclude each other


def test_ssl_with_a_ws_url_is_refused(flavour: Flavour, trusting: ssl.SSLContext) -> None:
    with pytest.raises(InvalidRequest) as caught:
        flavour.open("ws://localhost/", nothing, ssl=trusting)
    assert str(caught.value) == "ssl is for wss URLs, and this is a ws URL"


@needs_unix_sockets
def test_a_socket_and_a_path_exclude_each_other_and_the_socket_stays_open(flavour: Flavour) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        with pytest.raises(InvalidRequest) as caught:
            flavour.open("ws://localhost/", nothing, sock=ours, unix_path="/tmp/somewhere")
        assert str(caught.value) == "sock and unix_path exclude each other"
        ours.sendall(b"still ours")
        assert theirs.recv(100) == b"still ours"


def test_a_socket_that_is_not_connected_is_refused_and_closed(flavour: Flavour) -> None:
    sock = socket.socket()
    with pytest.raises(ConnectFailed) as caught:
        flavour.open("ws://localhost/", nothing, sock=sock)
    says(caught.value, "the given socket", "not connected")
    assert sock.fileno() == -1


def test_a_datagram_socket_is_refused_and_closed(flavour: Flavour) -> None:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with pytest.raises((ConnectFailed, InvalidRequest)) as caught:
        flavour.open("ws://localhost/", nothing, sock=sock)
    says(caught.value, "the given socket", "stream")
    assert sock.fileno() == -1
