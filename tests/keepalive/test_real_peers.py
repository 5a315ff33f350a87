"""Connections that live, and peers that die: real servers, processes that are suspended, and links that drop bytes."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest
from websockets.sync.server import ServerConnection

from polysocket import Async, CloseCause, ConnectionLost, WebSocket, WebSocketClosed, polymorphic
from polysocket.effects import poller
from tests.interop.flavours import FLAVOURS, Flavour
from tests.leaks import nothing_left_behind
from tests.peers import websockets_server

LARGE = 1024 * 1024 - 1024  # bytes: nearly as many as are read for a program that does not receive
PATIENCE = 20  # seconds for a server to start
SHORT = 0.6  # seconds: the ping settings of the servers
BUSY = 2.5  # seconds in which the program does not use its websocket: longer than the server's patience


@pytest.fixture(params=FLAVOURS)
def flavour(request: pytest.FixtureRequest) -> Flavour:
    """Each flavour in turn."""
    name: str = request.param
    return FLAVOURS[name]


@pytest.fixture(autouse=True)
def leave_nothing() -> Iterator[None]:
    """Fail a test that leaks."""
    with nothing_left_behind():
        yield


def echo(connection: ServerConnection) -> None:
    """Send each message back."""
    for message in connection:
        connection.send(message)


def echo_server() -> contextlib.AbstractContextManager[str]:
    """Run a server of the websockets library that ends connections whose Pings are not answered."""
    return websockets_server(echo, ping_interval=SHORT, ping_timeout=SHORT)


UVICORN = f"""
import socket, uvicorn

async def app(scope, receive, send):
    while True:
        event = await receive()
        if event["type"] == "websocket.connect":
            await send({{"type": "websocket.accept"}})
        elif event["type"] == "websocket.receive":
            await send({{"type": "websocket.send", "text": event["text"]}})
        else:
            return

listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
config = uvicorn.Config(app, lifespan="off", log_level="error", ws_ping_interval={SHORT}, ws_ping_timeout={SHORT})
uvicorn.Server(config).run([listener])
"""

ECHO_PROCESS = """
from polysocket.testing import EchoServer

with EchoServer() as server:
    print(server.url.rsplit(":", 1)[1].strip("/"), flush=True)
    input()
"""


@contextlib.contextmanager
def process(program: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run a server in a process of its own, which prints its port."""
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield f"ws://127.0.0.1:{int(server.stdout.readline())}", server
        finally:
            server.kill()


@contextlib.contextmanager
def uvicorn_server() -> Iterator[str]:
    """Run an echo server in uvicorn."""
    with process(UVICORN) as (url, _):
        yield url


SERVERS = {"websockets": echo_server, "uvicorn": uvicorn_server}


@polymorphic
async def be_busy(ws: WebSocket[Async]) -> tuple[str, bool]:
    """Do not use the websocket for a while."""
    await ws.effect.sleep(BUSY)
    await ws.send_text("still there")
    return await ws.receive_text(), ws.is_open


@pytest.mark.parametrize("server", SERVERS)
def test_a_busy_program_keeps_its_connection_to_a_server_that_pings(flavour: Flavour, server: str) -> None:
    with SERVERS[server]() as url:
        assert flavour.open(url, be_busy) == ("still there", True)


@polymorphic
async def be_busy_without_keepalive(ws: WebSocket[Async]) -> str:
    """Find out that the server has ended the connection."""
    await ws.effect.sleep(BUSY)
    try:
        return await ws.receive_text()
    except WebSocketClosed as error:
        return error.close_info.reason


def test_without_keepalive_the_same_server_ends_the_connection(flavour: Flavour) -> None:
    """The tests above can fail."""
    with echo_server() as url:
        assert flavour.open(url, be_busy_without_keepalive, ping_interval=None) == "keepalive ping timeout"


@polymorphic
async def block_everything(ws: WebSocket[Async]) -> str:
    """Block the thread, and with it the event loop, for longer than the server may be silent."""
    time.sleep(1)  # noqa: ASYNC251 - it is wrong, and must do no harm
    await ws.send_text("still there")
    return await ws.receive_text()


def test_a_blocked_event_loop_is_told_from_a_dead_peer(flavour: Flavour) -> None:
    with process(ECHO_PROCESS) as (url, _):
        assert flavour.open(url, block_everything, ping_interval=0.1, ping_timeout=0.2) == "still there"


@polymorphic
async def wait_for_the_end(ws: WebSocket[Async], silence: threading.Event) -> tuple[CloseCause, bool]:
    """Have the peer fall silent, and wait in a receive."""
    await ws.send_text("a")
    await ws.receive_text()
    silence.set()
    try:
        await ws.receive(timeout=PATIENCE)
    except ConnectionLost as error:
        return error.close_info.cause, ws.is_open
    raise AssertionError("the peer has sent something")


def test_a_suspended_server_is_noticed(flavour: Flavour) -> None:
    with process(ECHO_PROCESS) as (url, server):
        silence = threading.Event()

        def suspend() -> None:
            silence.wait()
            server.send_signal(signal.SIGSTOP)

        suspending = threading.Thread(target=suspend)
        suspending.start()
        cause, is_open = flavour.open(url, wait_for_the_end, silence, ping_interval=0.2, ping_timeout=0.5)
        suspending.join()
        assert (cause, is_open) == (CloseCause.KEEPALIVE, False)


@polymorphic
async def be_busy_until(ws: WebSocket[Async], done: threading.Event) -> int:
    """Do not use the websocket meanwhile."""
    while not done.is_set():
        await ws.effect.sleep(0.05)
    return len(await ws.receive_binary())


def test_a_ping_after_a_large_message_waits_for_few_looks(flavour: Flavour, monkeypatch: pytest.MonkeyPatch) -> None:
    """One read for each look would take 18 seconds."""
    monkeypatch.setattr(poller, "TICK", 2.0)
    done, answered = threading.Event(), list[bool]()

    def ping_after_a_message(connection: ServerConnection) -> None:
        connection.send(bytes(LARGE))
        answered.append(connection.ping().wait(10))
        done.set()

    with websockets_server(ping_after_a_message, ping_interval=None, ping_timeout=SHORT) as url:
        assert flavour.open(url, be_busy_until, done, compression=None) == LARGE
    assert answered == [True]


class Link:
    """A proxy of TCP that drops all bytes in both directions once ``is_down`` is set."""

    def __init__(self, url: str) -> None:
        self.is_down = threading.Event()
        self._target = ("127.0.0.1", int(url.rsplit(":", 1)[1]))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()
        self.url = f"ws://127.0.0.1:{self._listener.getsockname()[1]}"

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        server = socket.create_connection(self._target)
        self._sockets += [client, server]
        self._threads += [
            threading.Thread(target=self._forward, args=pair) for pair in ((client, server), (server, client))
        ]
        for thread in self._threads[1:]:
            thread.start()

    def _forward(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if not self.is_down.is_set():
                    target.sendall(data)

    def close(self) -> None:
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for sock in (*self._sockets, self._listener):
            sock.close()


def test_a_link_that_drops_everything_is_noticed(flavour: Flavour) -> None:
    with process(ECHO_PROCESS) as (url, _), contextlib.closing(Link(url)) as link:
        cause, is_open = flavour.open(link.url, wait_for_the_end, link.is_down, ping_interval=0.2, ping_timeout=0.5)
        assert (cause, is_open) == (CloseCause.KEEPALIVE, False)
