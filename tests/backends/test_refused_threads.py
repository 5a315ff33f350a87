"""The system refuses a thread: the call has the error, nothing is printed, and nothing stays half set."""

from __future__ import annotations

import contextlib
import errno
import pathlib
import socket
import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future
from typing import Any
from unittest.mock import Mock

import pytest

from polysocket import (
    Buffer,
    Close,
    CloseInfo,
    ConnectFailed,
    Listener,
    OpeningFailed,
    PipeHandler,
    Text,
    WebSocket,
    WebSocketClosed,
    WebSocketHandler,
    basic_request,
    blocking,
    from_text_pipe,
    polymorphic,
    threaded,
)
from polysocket._opening import tls
from polysocket.effects import Async, Threaded, readiness
from polysocket.effects.poller import process_poller
from polysocket.testing import EchoServer
from polysocket.testing.contract import places, wire
from polysocket.testing.contract.places import Peer, Place
from polysocket.testing.contract.wire import Wire
from tests.backends.flavours import FLAVOURS, THREADS, Flavour, ThreadedFlavour, a_backend, has_trio, opened

REFUSED = "can't start new thread"
KEEPALIVE = "polysocket keepalive"
SOON = 5  # seconds in which a call that fails at once has failed, on a slow machine, too

in_threads = pytest.mark.parametrize("flavour", THREADS, indirect=True)


class Refusal:
    """The system's refusal of the library's threads; ``count`` says how many were refused."""

    def __init__(self, allowed: int) -> None:
        self.allowed = allowed
        self.count = 0


@contextlib.contextmanager
def refused_threads(allowed: int = 0, *, keepalive: bool = False) -> Generator[Refusal]:
    """Let the library start this number of threads, and refuse all others in the block.

    ``keepalive`` is whether to refuse the thread of keepalive instead, without which no call fails.
    """
    refusal, start = Refusal(allowed), threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name.startswith("polysocket") and (thread.name == KEEPALIVE) is keepalive:
            refusal.allowed -= 1
            if refusal.allowed < 0:
                refusal.count += 1
                raise RuntimeError(REFUSED)
        start(thread)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        yield refusal


@contextlib.contextmanager
def no_more_threads() -> Generator[None]:
    """Refuse all threads, those of the event loops, too."""
    refuse = Mock(side_effect=RuntimeError(REFUSED))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        if has_trio:
            patch.setattr("trio._threads.start_thread_soon", refuse)  # It may have a thread that is idle.
        yield


@pytest.fixture(autouse=True)
def nothing_printed(leave_nothing: None, capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Fail a test in which something is written to stderr."""
    yield
    assert capfd.readouterr().err == ""


@pytest.fixture
def kept_threads_end(leave_nothing: None, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return a function that waits for the end of the threads, which an open websocket keeps otherwise."""
    monkeypatch.setattr(readiness, "add_user", Mock())

    def wait() -> None:
        for thread in threading.enumerate():
            if thread.name in ("polysocket wait loop", "polysocket worker"):
                thread.join(SOON)
                assert not thread.is_alive(), thread

    return wait


def refused(future: Future[Any]) -> None:
    """Check that the call has failed."""
    assert future.done()
    with pytest.raises(RuntimeError, match=REFUSED):
        future.result()


@polymorphic
async def close_at_the_end(ws: WebSocket[Async]) -> str:
    """Receive, and then make a call that has to wait again."""
    try:
        return await ws.receive_text()
    finally:
        await ws.ping()


CALLS: dict[str, Callable[[WebSocket[Threaded]], Future[Any]]] = {
    "receive": lambda ws: ws.receive(),
    "receive with a timeout": lambda ws: ws.receive(timeout=5),
    "receive_text": lambda ws: ws.receive_text(),
    "receive_data_frame": lambda ws: ws.receive_data_frame(),
    "receive_message": lambda ws: ws.receive_message(timeout=5),
    "ping": lambda ws: ws.ping(),
    "either": lambda ws: ws.either(ws.receive_text),
    "a program": close_at_the_end,
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_call_that_can_not_wait_fails_and_the_next_one_works(
    kept_threads_end: Callable[[], None], peer: Peer, call: Callable[..., Future[Any]]
) -> None:
    ws = threaded.connect(peer.url, close_timeout=5).result(SOON)
    kept_threads_end()
    with refused_threads() as refusal:
        refused(call(ws))
        refused(call(ws))
    assert refusal.count > 0
    receiving = ws.receive_text()
    peer.send(wire.text("a"))
    assert receiving.result(SOON) == "a"
    closing = ws.close()
    assert peer.finish()[-1].opcode == wire.CLOSE
    closing.result(SOON)


def test_without_the_thread_of_keepalive_connect_works_and_warns(peer: Peer) -> None:
    for thread in threading.enumerate():
        if thread.name == KEEPALIVE:
            thread.join(SOON)  # that of an earlier test
    with (
        refused_threads(keepalive=True) as refusal,
        pytest.warns(RuntimeWarning, match="keeps idle websockets alive: can't start new thread"),
    ):
        ws = blocking.connect(peer.url, close_timeout=5)
    assert refusal.count > 0
    peer.send(wire.encode(wire.PING, b"1") + wire.text("a"))
    assert ws.receive_text() == "a"
    assert peer.frame() == Wire(wire.PONG, b"1")
    with EchoServer() as server, blocking.connect(server.url):  # which starts the thread for both
        peer.send(wire.encode(wire.PING, b"2"))
        assert peer.frame() == Wire(wire.PONG, b"2")
    peer.hang_up()
    ws.close()


def open_and_close(url: str, times: int) -> None:
    for _ in range(times):
        blocking.connect(url).close()


def test_what_waits_for_the_thread_of_keepalive_does_not_grow() -> None:
    for thread in threading.enumerate():
        if thread.name == KEEPALIVE:
            thread.join(SOON)
    poller = process_poller()
    with (
        EchoServer(limits=basic_request.keepalive(interval=None)) as server,
        refused_threads(keepalive=True),
        pytest.warns(RuntimeWarning),
    ):
        open_and_close(server.url, 10)
    assert len(poller._posted_sockets) + len(poller._posted_timers) + len(poller._timers) <= 4


def test_a_websocket_that_can_not_be_opened_fails(peer: Peer) -> None:
    with refused_threads(), pytest.raises(OpeningFailed, match="no thread could be started to look up localhost"):
        threaded.connect(peer.url).result(SOON)
    ws = threaded.connect(peer.url, close_timeout=5).result(SOON)
    peer.hang_up()
    ws.close().result(SOON)


# uvloop looks up names in threads of libuv, which are there from its first lookup on.
@pytest.mark.parametrize("flavour", [name for name in FLAVOURS if "uvloop" not in name], indirect=True)
async def test_a_name_that_can_not_be_looked_up_fails(flavour: Flavour) -> None:
    async with a_backend(flavour) as backend:
        with (
            no_more_threads(),
            pytest.raises(ConnectFailed, match="could be started to look up server") as caught,
        ):
            await backend.connect("ws://server.invalid/")
    assert caught.value.errno == errno.EAGAIN


@pytest.mark.parametrize("part", ["load the default TLS settings", "read the system's proxies"])
@pytest.mark.parametrize("flavour", [name for name, kind in FLAVOURS.items() if kind.is_async], indirect=True)
async def test_settings_that_can_not_be_read_are_an_error(
    flavour: Flavour, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls, "_default_context", None)
    monkeypatch.setattr("polysocket.proxy.HAS_PROXY_SETTINGS", True)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"wss://127.0.0.1:{listener.getsockname()[1]}/" if "TLS" in part else "ws://server.invalid/"
        async with a_backend(flavour) as backend:
            with no_more_threads(), pytest.raises(ConnectFailed, match=f"could be started to {part}") as caught:
                await backend.connect(url)
    assert caught.value.errno == errno.EAGAIN


def test_a_connection_that_can_not_be_waited_for_fails(tmp_path: pathlib.Path) -> None:
    listener = places.Listener(Place("tcp", tmp_path))
    with refused_threads():
        refused(threaded.connect(listener.url.replace("localhost", "127.0.0.1")))
    listener.hang_up()


@pytest.mark.parametrize("way", ["close", "with"])
def test_a_closing_that_can_not_wait_drops_the_connection(
    kept_threads_end: Callable[[], None], peer: Peer, way: str
) -> None:
    ws = threaded.connect(peer.url, close_timeout=None).result(SOON)
    kept_threads_end()
    with refused_threads():
        if way == "close":
            refused(ws.close())
        else:
            with pytest.raises(RuntimeError, match=REFUSED), ws:
                pass
    assert peer.rest() == [Wire(wire.CLOSE, b"\x03\xe8")]
    assert not ws.is_open
    with pytest.raises(WebSocketClosed):
        ws.receive().result(SOON)
    ws.close().result(SOON)


def test_a_frame_is_whole_although_the_send_that_began_it_could_not_wait(
    kept_threads_end: Callable[[], None], tmp_path: pathlib.Path
) -> None:
    size = 6 * 1024 * 1024
    with Peer(Place("tcp", tmp_path), receive_buffer=4096) as peer:
        ws = threaded.connect(peer.url, close_timeout=5).result(SOON)
        kept_threads_end()
        with refused_threads():
            refused(ws.send_binary(bytes(size)))
            refused(ws.send_text("waits for its turn, and is not sent"))
        sending = ws.send_text("sent after the rest")
        assert peer.frames(2) == [Wire(wire.BINARY, bytes(size)), Wire(wire.TEXT, b"sent after the rest")]
        sending.result(SOON)
        peer.send(wire.text("a") + wire.close())
        assert ws.receive_text().result(SOON) == "a"
        peer.hang_up()
        ws.close().result(SOON)


def test_a_blocking_send_sends_the_rest_itself_while_another_thread_receives(tmp_path: pathlib.Path) -> None:
    size = 6 * 1024 * 1024
    with Peer(Place("tcp", tmp_path), receive_buffer=4096) as peer:
        ws = blocking.connect(peer.url, close_timeout=5)
        received: list[str] = []
        receiver = threading.Thread(target=lambda: received.append(ws.receive_text()), name="a receiver")
        receiver.start()
        sender = threading.Thread(target=lambda: ws.send_binary(bytes(size)), name="a sender")
        with refused_threads():
            sender.start()
            assert peer.frame() == Wire(wire.BINARY, bytes(size))
            sender.join(SOON)
        peer.send(wire.text("a") + wire.close())
        receiver.join(SOON)
        assert received == ["a"]
        peer.hang_up()
        ws.close()


# A backend, and its programs in the background


class Recorder(Listener[Any]):
    """A listener that records its first and its last call."""

    def __init__(self) -> None:
        self.calls: list[object] = []
        self.has_ended = threading.Event()

    def on_open(self, ws: WebSocket[Any]) -> None:
        self.calls.append("open")

    def on_close(self, info: CloseInfo) -> None:
        self.calls.append(info)
        self.has_ended.set()


HANDLERS: dict[str, Callable[[], Any]] = {
    "websocket": WebSocketHandler,
    "buffer": lambda: WebSocketHandler(Buffer.unbounded()),
    "listener": Recorder,
    "pipe": lambda: PipeHandler(from_text_pipe(lambda text: Close() if text == "end" else text)),
}


@in_threads
@pytest.mark.parametrize("name", ["websocket", "buffer", "listener"])
async def test_whichever_thread_is_refused_nothing_hangs_and_nothing_is_left(flavour: Flavour, name: str) -> None:
    async def converse() -> None:
        async with a_backend(flavour, request=basic_request.timeouts(open=5, close=5)) as backend:
            ws = await opened(flavour, backend, server.url, handler)
            await ws.send_text("a")
            if name != "listener":
                assert await ws.receive(timeout=5) == Text("a")
            assert await ws.ping(timeout=5) > 0
            await ws.close()

    with EchoServer() as server:
        allowed, refusals = 0, 1
        while refusals:
            handler = HANDLERS[name]()
            with refused_threads(allowed) as refusal:
                errors: list[Exception] = []
                try:
                    await converse()
                except (RuntimeError, OpeningFailed, WebSocketClosed) as error:
                    errors.append(error)
                refusals = refusal.count
            assert refusals or not errors
            if isinstance(handler, Recorder) and handler.calls:
                assert handler.has_ended.wait(SOON)
            allowed += 1


@in_threads
@pytest.mark.parametrize("name", ["buffer", "listener", "pipe"])
async def test_a_handler_whose_thread_is_refused_fails_to_open(flavour: Flavour, peer: Peer, name: str) -> None:
    is_threaded = isinstance(flavour, ThreadedFlavour)
    if is_threaded and name != "pipe":
        return  # They run in the threads in which the websocket was opened.
    handler = HANDLERS[name]()
    async with a_backend(flavour, request=basic_request.timeouts(open=5, close=0.1)) as backend:
        with (
            refused_threads(2 * is_threaded) as refusal,
            pytest.raises(RuntimeError, match=REFUSED),
        ):
            await backend.open_websocket(peer.url.replace("localhost", "127.0.0.1"), handler)  # not looked up
        assert refusal.count > 0
        assert [frame.opcode for frame in peer.rest()] == [wire.CLOSE]
    if isinstance(handler, Recorder):
        assert handler.calls[0] == "open"
        [end] = handler.calls[1:]
        assert isinstance(end, CloseInfo)


# The echo server


def refuse_all(_: threading.Thread) -> None:
    raise RuntimeError(REFUSED)


def test_an_echo_server_that_can_not_start_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading.Thread, "start", refuse_all)
    with pytest.raises(RuntimeError, match=REFUSED), EchoServer():
        pass


def test_an_echo_server_hangs_up_on_a_client_that_it_can_not_serve() -> None:
    with EchoServer() as server:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse_all)
            with pytest.raises(OpeningFailed):
                blocking.connect(server.url, open_timeout=SOON)
        ws = blocking.connect(server.url)
        ws.send_text("a")
        assert ws.receive_text() == "a"
        ws.close()
