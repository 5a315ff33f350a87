"""Openings that fail, as a person meets them: one short traceback, data in attributes, and a hint about the scheme."""

from __future__ import annotations

import pickle
import socket
import traceback
from collections.abc import Callable
from typing import Final

import pytest

from polysocket import ConnectFailed, InvalidUpgrade, OpeningFailed, OpenTimeout, UpgradeRejected
from polysocket.testing.contract.fixtures import tcp_and_tls
from polysocket.testing.contract.flavour import Flavour, promise
from polysocket.testing.contract.places import Answer, Listener, Peer, Place, answering, client_context, saying

LONGEST: Final = 60  # lines, with three a frame in new versions of Python: most are of this test and of the flavour

IF_TLS: Final = "is it a wss:// server?"
IF_PLAIN: Final = "is it a ws:// server?"


def check_short(error: BaseException) -> None:
    """Check that a traceback has one error, or two of which one is the other's cause, and no group."""
    lines = "".join(traceback.format_exception(error)).splitlines()
    text = "\n".join(lines)
    assert len(lines) <= LONGEST, text
    assert "During handling of" not in text, text
    assert text.count("The above exception") <= 1, text
    assert "Group" not in text, text
    assert error.__cause__ is None or error.__cause__.__traceback__ is None, text


async def failing(flavour: Flavour, url: str, **options: object) -> OpeningFailed:
    """Open a websocket, which fails, and return the error, which prints a short traceback and can be pickled."""
    with pytest.raises(OpeningFailed) as caught:
        await flavour.open(url, **options)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    error = caught.value
    check_short(error)
    copied: OpeningFailed = pickle.loads(pickle.dumps(error))
    assert (type(copied), str(copied), vars(copied).keys()) == (type(error), str(error), vars(error).keys())
    return error


@promise
async def test_a_refused_connection_has_its_cause(flavour: Flavour, place: Place) -> None:
    listener = Listener(place)
    listener.hang_up()
    error = await failing(flavour, listener.url)
    assert isinstance(error, ConnectFailed)
    assert error.causes
    assert error.errno == error.causes[0].errno
    assert error.__cause__ is error.causes[0]
    copied = pickle.loads(pickle.dumps(error))
    assert [str(cause) for cause in copied.causes] == [str(cause) for cause in error.causes]


@promise
async def test_an_unknown_name_has_its_cause(flavour: Flavour) -> None:
    error = await failing(flavour, "ws://host.invalid/")
    assert isinstance(error, ConnectFailed)
    (cause,) = error.causes
    assert error.__cause__ is cause
    assert error.errno == cause.errno


@pytest.mark.parametrize("transport", ["tls"], indirect=True)
@promise
async def test_a_refused_certificate_has_its_cause(flavour: Flavour, peer: Peer) -> None:
    error = await failing(flavour, peer.url)
    assert isinstance(error, ConnectFailed)
    assert IF_PLAIN not in str(error)
    assert len(error.causes) == 1
    assert error.errno is None


@tcp_and_tls
@pytest.mark.parametrize(
    "answer",
    [answering("404 Not Found"), saying(b"SSH-2.0-OpenSSH\r\n"), saying(b"HTTP/1.1 101\r\n:\r\n\r\n")],
    ids=["404", "no HTTP", "malformed"],
)
@promise
async def test_a_refused_upgrade_prints_a_short_traceback(flavour: Flavour, place: Place, answer: Answer) -> None:
    with Peer(place, answer) as peer:
        error = await failing(flavour, peer.url, **peer.options())
    assert isinstance(error, UpgradeRejected | InvalidUpgrade)


@tcp_and_tls
@promise
async def test_a_passed_open_timeout_prints_a_short_traceback(flavour: Flavour, silent: Listener) -> None:
    error = await failing(flavour, silent.url, **{**silent.options(), "open_timeout": 0.1})
    assert isinstance(error, OpenTimeout)
    assert error.timeout == 0.1
    assert (IF_PLAIN in str(error)) == silent.url.startswith("wss")


def _alert(sock: socket.socket) -> None:
    sock.sendall(bytes.fromhex("15 03 03 00 02 02 46"))  # fatal, protocol_version: OpenSSL's answer to HTTP


def _page(text: bytes) -> Callable[[socket.socket], None]:
    head = b"HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\n\r\n" % len(text)
    return lambda sock: sock.sendall(head + text)


def _end(sock: socket.socket) -> None:
    sock.shutdown(socket.SHUT_WR)


def _reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


SPEAKING_TLS: Final[dict[str, Callable[[socket.socket], None]]] = {
    "alert": _alert,
    "nginx": _page(b"<center>The plain HTTP request was sent to HTTPS port</center>"),
    "Apache": _page(b"Reason: You're speaking plain HTTP to an SSL-enabled server port."),
    "Go": _page(b"Client sent an HTTP request to an HTTPS server.\n"),
    "nothing": _end,
    "reset": _reset,
}

SPEAKING_NO_TLS: Final[dict[str, Callable[[socket.socket], None]]] = {
    "HTTP": _page(b"what?"),
    "a banner of two bytes": lambda sock: sock.sendall(b"220"[:2]),
    "another protocol": lambda sock: sock.sendall(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "nothing": _end,
    "reset": _reset,
}


def _answer(silent: Listener, answer: Callable[[socket.socket], None]) -> None:
    silent.socket.settimeout(10)
    sock, _ = silent.socket.accept()
    with sock:
        sock.settimeout(10)
        assert sock.recv(65536)
        answer(sock)


@pytest.mark.parametrize("answer", SPEAKING_TLS.values(), ids=SPEAKING_TLS)
@promise
async def test_a_server_that_may_speak_tls_is_hinted_at(
    flavour: Flavour, silent: Listener, answer: Callable[[socket.socket], None]
) -> None:
    answering_it = flavour.spawn(flavour.call, _answer, silent, answer)
    assert IF_TLS in str(await failing(flavour, silent.url))
    await answering_it.result()


@pytest.mark.parametrize("answer", SPEAKING_NO_TLS.values(), ids=SPEAKING_NO_TLS)
@promise
async def test_a_server_that_may_speak_no_tls_is_hinted_at(
    flavour: Flavour, silent: Listener, answer: Callable[[socket.socket], None]
) -> None:
    answering_it = flavour.spawn(flavour.call, _answer, silent, answer)
    error = await failing(flavour, silent.url.replace("ws", "wss"), ssl=client_context(), open_timeout=5)
    assert isinstance(error, ConnectFailed)
    assert IF_PLAIN in str(error)
    await answering_it.result()


SPEAKING_HTTP_2: Final = {
    "ws": "00 00 06 04 00 00000000 000300000064",  # SETTINGS (RFC 9113 §6.5)
    "wss": "15 03 03 00 02 02 78",  # fatal, no_application_protocol (RFC 7301 §3.2)
}


@pytest.mark.parametrize(("scheme", "answer"), SPEAKING_HTTP_2.items(), ids=SPEAKING_HTTP_2)
@promise
async def test_a_server_that_speaks_http_2_only_is_hinted_at(
    flavour: Flavour, silent: Listener, scheme: str, answer: str
) -> None:
    """A server of gRPC is one."""

    def send(sock: socket.socket) -> None:
        sock.sendall(bytes.fromhex(answer))

    answering_it = flavour.spawn(flavour.call, _answer, silent, send)
    options = {"ssl": client_context()} if scheme == "wss" else {}
    error = await failing(flavour, silent.url.replace("ws", scheme), **options)
    assert "HTTP/1.1 is needed" in str(error)
    await answering_it.result()


@tcp_and_tls
@promise
async def test_an_answer_that_says_nothing_about_tls_gets_no_hint(flavour: Flavour, place: Place) -> None:
    with Peer(place, answering("400 Bad Request", body=b"the Origin is missing")) as peer:
        error = await failing(flavour, peer.url, **peer.options())
    assert "is it a" not in str(error)
