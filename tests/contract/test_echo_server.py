"""The embedded echo server: it always ends, whatever its clients do."""

from __future__ import annotations

import dataclasses
import errno
import pathlib
import socket
import threading
from collections.abc import Callable
from threading import Thread
from unittest import mock

import pytest

from polysocket import basic_request, blocking
from polysocket.testing import EchoServer, echo
from polysocket.testing.contract.fixtures import every_transport
from polysocket.testing.contract.places import Echo, Place, client_context, server_context


@every_transport
@pytest.mark.timeout(20)
def test_it_ends_even_if_clients_are_still_connected(place: Place) -> None:
    for _ in range(20):
        with Echo(place) as echo:
            websockets = [blocking.connect(echo.url, **echo.options()) for _ in range(3)]
        for ws in websockets:
            ws.close()


@pytest.mark.timeout(20)
def test_it_ends_even_if_a_client_has_just_connected() -> None:
    for _ in range(200):
        with EchoServer(limits=dataclasses.replace(basic_request, open_timeout=None)) as server:
            port = int(server.url.rsplit(":", 1)[1].strip("/"))
            client = socket.create_connection(("127.0.0.1", port))
        client.close()


def test_it_survives_probes(place: Place) -> None:
    with Echo(place) as echo:
        port = int(echo.url.rsplit(":", 1)[1].strip("/"))
        for probe in (b"", b"\x16\x03\x01", b"GET / HTTP/1.1\r\n\r\n", b"x" * 100_000):
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.sendall(probe)
        with blocking.connect(echo.url) as ws:
            ws.send_text("a")
            assert ws.receive_text() == "a"


def test_it_removes_the_file_of_its_unix_socket(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "socket"
    for _ in range(2):
        with EchoServer(unix_path=path) as server, blocking.connect(server.url, unix_path=path) as ws:
            ws.send_text("a")
            assert ws.receive_text() == "a"
    assert not path.exists()


class Interrupt(BaseException):
    """Raised by a signal handler."""


def interrupt(*_: object) -> None:
    raise Interrupt


def started_and_interrupted(thread: threading.Thread, start: Callable[[threading.Thread], None] = Thread.start) -> None:
    start(thread)
    raise Interrupt


@pytest.mark.parametrize(
    ("owner", "name", "replacement"),
    [
        (socket, "socketpair", interrupt),
        (Thread, "start", interrupt),
        (Thread, "start", started_and_interrupted),
        (echo, "wait_until_ended", interrupt),
    ],
    ids=["socketpair", "before the thread", "after the thread", "in the end of the block"],
)
def test_it_ends_if_a_signal_handler_raises_in_its_beginning_or_its_end(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, owner: object, name: str, replacement: object
) -> None:
    path, before = tmp_path / "socket", set(threading.enumerate())
    monkeypatch.setattr(owner, name, replacement)
    with pytest.raises(Interrupt), EchoServer(unix_path=path):
        pass
    monkeypatch.undo()
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
        assert not thread.is_alive()
    assert not path.exists()
    with EchoServer(unix_path=path):  # It can listen again.
        pass


def test_it_leaves_the_file_of_another_server(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "socket"
    with EchoServer(unix_path=path):
        with pytest.raises(OSError, match="in use"), EchoServer(unix_path=path):
            pass
        assert path.exists()


def test_it_has_no_url_before_it_listens() -> None:
    with pytest.raises(RuntimeError, match="inside its with block only"):
        _ = EchoServer().url


def test_it_continues_if_a_connection_cannot_be_accepted(caplog: pytest.LogCaptureFixture) -> None:
    accept, errors = socket.socket.accept, [OSError(errno.EMFILE, "Too many open files")]

    def fail_once(listener: socket.socket) -> object:
        if errors:
            raise errors.pop()
        return accept(listener)

    with (
        mock.patch.object(socket.socket, "accept", fail_once),
        EchoServer() as server,
        blocking.connect(server.url) as ws,
    ):
        ws.send_text("a")
        assert ws.receive_text() == "a"
    assert "Too many open files" in caplog.text


def test_it_forgets_the_threads_of_connections_that_have_ended() -> None:
    with EchoServer() as server:
        for _ in range(5):
            with blocking.connect(server.url):
                [thread] = server._threads
            thread.join()


def test_it_follows_the_limits_of_a_request() -> None:
    limits = basic_request.subprotocol("chat").compress(None)
    with EchoServer(limits=limits, ssl=server_context()) as server:
        request = basic_request.get(server.url).subprotocol("other", "chat")
        with blocking.connect(request, ssl=client_context()) as ws:
            assert ws.subprotocol == "chat"
            assert ws.response.extensions == ()
