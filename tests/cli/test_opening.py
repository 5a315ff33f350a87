"""The options that open a websocket, and the exit status if it can't be opened."""

from __future__ import annotations

import base64
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme

from polysocket.testing import EchoServer
from tests.cli.processes import run
from tests.docs.programs import answering
from tests.proxy.proxies import http_proxy

BASIC = base64.b64encode(b"me:se:cret").decode()


@contextmanager
def rejecting(status: str, heads: list[str]) -> Iterator[str]:
    """Run a server that notes the head of a request and rejects it; return its URL."""

    def handle(sock: socket.socket) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += sock.recv(4096)
        heads.append(head.decode())
        sock.sendall(f"HTTP/1.1 {status}\r\nContent-Length: 8\r\n\r\nno token".encode())

    with answering(handle) as url:
        yield url


@contextmanager
def closed_port() -> Iterator[int]:
    """Reserve a port that refuses connections."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden", "500 Internal Server Error"])
def test_a_rejection_is_shown_with_its_body(status: str) -> None:
    with rejecting(status, []) as url:
        ended = run(url)
    assert ended.status == 1
    assert ended.out == b""
    assert status[:3] in ended.err
    assert ended.err == f"polysocket: the server did not upgrade: it answered {status}\nno token\n"


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        (["-H", "X-Name: a: b", "-H", "X-Other:c"], ["X-Name: a: b", "X-Other: c"]),
        (["--header", "Origin: https://example.com"], ["Origin: https://example.com"]),
        (["--subprotocol", "chat.v2", "--subprotocol", "chat.v1"], ["Sec-WebSocket-Protocol: chat.v2, chat.v1"]),
        (["--auth", "me:se:cret"], [f"Authorization: Basic {BASIC}"]),
        (["--compression"], ["Sec-WebSocket-Extensions: permessage-deflate"]),
    ],
)
def test_an_option_is_sent_in_the_handshake(options: list[str], sent: list[str]) -> None:
    heads: list[str] = []
    with rejecting("403 Forbidden", heads) as url:
        run(*options, url)
    for line in sent:
        assert f"\r\n{line}" in heads[0]


def test_no_compression_offers_none() -> None:
    heads: list[str] = []
    with rejecting("403 Forbidden", heads) as url:
        run("--no-compression", url)
    assert "Sec-WebSocket-Extensions" not in heads[0]


def test_a_refused_connection_has_a_status_and_one_line() -> None:
    with closed_port() as port:
        status, out, err = run(f"ws://127.0.0.1:{port}/")
    assert (status, out) == (1, b"")
    assert err.startswith("polysocket: could not connect")
    assert err.count("\n") == 1


def test_reconnect_gives_up_if_the_server_rejects_for_good() -> None:
    with rejecting("403 Forbidden", []) as url:
        assert run("--reconnect", url).status == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "URL"),
        (["https:/"], "https:/"),
        (["ftp://localhost/"], "ftp"),
        (["--ca", "no-such-file.pem", "wss://localhost/"], "no-such-file.pem"),
        (["--insecure", "--ca", "ca.pem", "wss://localhost/"], "not allowed with"),
        (["--insecure", "ws://localhost/"], "polysocket: --insecure is for wss URLs, and this is a ws URL"),
        (["--ca", "ca.pem", "ws://localhost/"], "polysocket: --ca is for wss URLs, and this is a ws URL"),
        (["-H", "no colon", "ws://localhost/"], "'Name: value'"),
        (["-H", "Upgrade: x", "ws://localhost/"], "Upgrade"),
        (["-H", "Sec-WebSocket-Protocol: x", "ws://localhost/"], "name subprotocols with --subprotocol\n"),
        (["-H", "Sec-WebSocket-Extensions: x", "ws://localhost/"], "with --compression or --no-compression\n"),
        (["--auth", "secret", "ws://localhost/"], "no ':'"),
        (["--ping", "often", "ws://localhost/"], "'often' is not a number of seconds"),
        (["--ping", "-1", "ws://localhost/"], "'-1' is not a number of seconds, 0 or more"),
        (["--ping", "1e-9", "ws://localhost/"], "'1e-9' is too short: at least 0.001 seconds, or 0"),
        (["--eof-wait", "-1", "ws://localhost/"], "'-1' is not a number of seconds, 0 or more"),
        (["--proxy", "ftp://localhost/", "ws://localhost/"], "proxy"),
        (["echo", "--port", "65536"], "'65536' is not a port"),
        (["echo", "--key", "key.pem"], "--key needs --cert"),
    ],
)
def test_wrong_usage_has_a_status_and_an_explanation(arguments: list[str], said: str) -> None:
    status, out, err = run(*arguments)
    assert (status, out) == (2, b"")
    assert said in err
    assert "Traceback" not in err


def test_too_many_redirects_are_explained_without_an_option_of_python() -> None:
    def redirect(sock: socket.socket) -> None:
        sock.recv(4096)
        sock.sendall(b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n")

    with answering(*[redirect] * 11) as url:
        status, _, err = run(url)
    assert status == 1
    assert err.endswith(" after 10 redirects, and the command follows no more\n")


def test_an_untrusted_proxy_is_explained_without_an_option_of_python(tmp_path: Path) -> None:
    authority, path = trustme.CA(), tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with EchoServer(ssl=context) as proxy, closed_port() as port:
        address = ["--proxy", proxy.url.replace("wss", "https"), f"ws://server.example:{port}/"]
        refused = run(*address)
        assert "; the variable SSL_CERT_FILE names a PEM file to trust" in refused.err
        assert "certificate" not in run(*address, SSL_CERT_FILE=str(path)).err


def test_wrong_credentials_are_not_shown() -> None:
    assert "secret" not in run("--auth", "secret", "ws://localhost/").err


def test_a_certificate_is_checked_unless_told_otherwise(tmp_path: Path) -> None:
    authority, path = trustme.CA(), tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with EchoServer(ssl=context) as server:
        refused = run(server.url)
        assert refused.status == 1
        assert "certificate is not valid" in refused.err
        assert "; --ca FILE trusts the authorities in a PEM file, --insecure any server\n" in refused.err
        assert "ssl=" not in refused.err
        assert run("--ca", str(path), server.url) == (0, b"", "")
        assert run("--insecure", server.url) == (0, b"", "")


def test_proxy_connects_via_the_proxy(tmp_path: Path) -> None:
    with EchoServer() as server:
        with http_proxy(tmp_path, auth=False) as proxy:
            assert run("--proxy", proxy.url(), server.url) == (0, b"", "")
        with closed_port() as port:
            refused = run("--proxy", f"http://127.0.0.1:{port}", server.url)
        assert refused.status == 1
        assert "proxy" in refused.err
        assert run("--proxy", "none", server.url) == (0, b"", "")
