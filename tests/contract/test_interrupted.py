"""Signal handlers that raise in a blocking call, or call the same websocket again."""

from __future__ import annotations

import contextlib
import inspect
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest
import wsproto.events
from websockets.sync.server import ServerConnection
from wsproto import ConnectionType, WSConnection

from polysocket import (
    Blocking,
    Buffer,
    CloseCause,
    ConcurrentReceive,
    ConnectionLost,
    Listener,
    ReentrantCall,
    WebSocket,
    WebSocketClosed,
    basic_request,
    blocking,
    threaded,
)
from polysocket._core.connection import Connection
from polysocket._core.frame_queue import FrameQueue
from polysocket._opening import reconnecting
from polysocket._session import exchanges
from polysocket._session.receiving import Receiver
from polysocket._session.sending import Sender
from polysocket._session.session import Session
from polysocket.effects.deadlines import TimeLimit
from polysocket.effects.sockets import SocketStream
from polysocket.handlers.listener import _Delivery
from polysocket.testing import EchoServer
from polysocket.testing.contract.multiplexing import Client
from tests.builds import replaces_core
from tests.peers import websockets_server

pytestmark = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs timers that send signals")

Reports = queue.Queue[tuple[list[str], int | None]]


class Interrupt(BaseException):
    """Raised by a signal handler."""


@contextlib.contextmanager
def server() -> Iterator[tuple[str, Reports]]:
    """Run a server that echoes a text, and reports the texts and the close code of each connection."""
    reports: Reports = queue.Queue()

    def handle(ws: ServerConnection) -> None:
        texts = []
        with contextlib.suppress(Exception):
            for text in ws:
                texts.append(str(text))
                if text == "echo":
                    ws.send(text)
                elif text == "ping":
                    ws.ping()
                    ws.send(text)
        reports.put((texts, ws.protocol.close_sent.code if ws.protocol.close_sent else None))

    with websockets_server(handle, max_size=None) as url:
        yield url, reports


@contextlib.contextmanager
def alarms(handler: Callable[..., object], first: float, interval: float = 0) -> Iterator[None]:
    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, first, interval)
        yield
    finally:
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def interrupt(*_: Any) -> None:
    raise Interrupt


PROGRAM = """
import signal, sys, time, zlib
from polysocket import Deflate, WebSocketClosed, blocking

class Interrupt(BaseException): pass

is_armed = False

def interrupt(*_):
    global is_armed
    if is_armed:
        is_armed = False
        raise Interrupt

url, interval, compression = sys.argv[1], float(sys.argv[2]), Deflate() if sys.argv[3] == "deflate" else None
sys.unraisablehook = lambda _: None  # The handler may raise in a destructor, too.
signal.signal(signal.SIGALRM, interrupt)
signal.setitimer(signal.ITIMER_REAL, interval, interval)
for _ in range(4):
    ws = blocking.connect(url, compression=compression, close_timeout=5)
    end = time.monotonic() + 0.1
    number = 0
    while time.monotonic() < end:
        body = f"{number} " * (number % 50 + 1)
        number += 1
        try:
            try:
                is_armed = True
                ws.send_text(f"{zlib.crc32(body.encode())}|{body}")
            finally:
                is_armed = False
        except Interrupt:
            pass
        except WebSocketClosed:
            break
    ws.close()
signal.setitimer(signal.ITIMER_REAL, 0)
"""


@pytest.mark.parametrize("compression", ["deflate", "plain"])
@pytest.mark.parametrize("interval", ["50e-6", "200e-6", "1e-3"])
def test_an_interrupted_send_has_sent_the_whole_frame_or_nothing_or_ended_the_connection(
    compression: str, interval: str
) -> None:
    with server() as (url, reports):
        subprocess.run([sys.executable, "-c", PROGRAM, url, interval, compression], check=True, timeout=30)
        for _ in range(4):
            texts, code = reports.get(timeout=10)
            assert code not in (1002, 1007)
            for text in texts:
                checksum, body = text.split("|")
                assert zlib.crc32(body.encode()) == int(checksum)
            numbers = [int(text.split("|")[1].split()[0]) for text in texts]
            assert numbers == sorted(set(numbers))


def test_an_interrupted_receive_leaves_the_websocket_usable() -> None:
    with server() as (url, _), blocking.connect(url) as ws:
        for receive in (ws.receive_text, lambda: ws.receive_text(timeout=10), ws.receive):
            with alarms(interrupt, 0.05), pytest.raises(Interrupt):
                receive()
            ws.send_text("echo")
            assert ws.receive_text() == "echo"
        blocking.connect(url).close()


@replaces_core
@pytest.mark.parametrize(
    ("owner", "name", "call"),
    [
        (SocketStream, "write", lambda ws: ws.send_text("echo")),
        (SocketStream, "write", lambda ws: ws.send_binary(bytes(100_000))),  # after the first slice
        (Connection, "send", lambda ws: ws.send_text("echo")),
        (SocketStream, "_receive", lambda ws: ws.receive()),
        (Connection, "receive", lambda ws: ws.receive()),
        (FrameQueue, "extend", lambda ws: ws.receive()),
        (FrameQueue, "take", lambda ws: ws.receive()),
        (Receiver, "take_message", lambda ws: ws.receive_text()),
        (TimeLimit, "__aexit__", lambda ws: ws.receive(timeout=10)),
    ],
)
def test_a_call_that_is_interrupted_midway_ends_the_connection_at_once(
    owner: type, name: str, call: Callable[[WebSocket[Blocking]], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    work = getattr(owner, name)

    def interrupted(*args: Any) -> Any:
        result = work(*args)
        if inspect.iscoroutine(result):
            with contextlib.suppress(StopIteration):
                result.send(None)
        elif result is None and owner in (SocketStream, Receiver) and name != "write":
            return result  # Nothing has arrived yet.
        monkeypatch.setattr(owner, name, work)
        raise Interrupt

    # Without keepalive, which would read in its own thread.
    with server() as (url, _), blocking.connect(url, close_timeout=5, ping_interval=None) as ws:
        ws.send_text("echo")
        monkeypatch.setattr(owner, name, interrupted)
        with pytest.raises(Interrupt):
            call(ws)
        with pytest.raises(ConnectionLost) as caught:
            receive_all(ws)
        assert caught.value.close_info.cause is CloseCause.CANCELLATION
        with pytest.raises(WebSocketClosed):
            ws.send_text("after the end")


def receive_all(ws: WebSocket[Blocking]) -> None:
    """Receive until that raises: keepalive may have read the echo before the call that is interrupted."""
    while True:
        ws.receive(timeout=10)


def test_an_abort_that_is_interrupted_is_done_by_the_next_close(monkeypatch: pytest.MonkeyPatch) -> None:
    work = SocketStream._close_if_unused

    def interrupted(stream: SocketStream) -> None:
        monkeypatch.setattr(SocketStream, "_close_if_unused", work)
        raise Interrupt

    with server() as (url, reports):
        ws = blocking.connect(url)
        monkeypatch.setattr(SocketStream, "_close_if_unused", interrupted)
        with pytest.raises(Interrupt):
            ws.close()
        ws.close()
        assert reports.get(timeout=10) == ([], 1000)


def connect_with_a_buffer(backend: blocking.BlockingBackend, url: str) -> None:
    backend.connect(url, buffer=Buffer.unbounded())


def ask(backend: blocking.BlockingBackend, url: str) -> None:
    Client(backend.connect(url)).ask("a question")


def answer_a_ping_later(backend: blocking.BlockingBackend, url: str) -> None:
    ws = backend.connect(url, ping_interval=None)
    ws.send_text("ping")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Sender, "has_room", False)
        ws.receive()


@replaces_core
@pytest.mark.parametrize("has_started", [False, True], ids=["before the thread runs", "while it runs"])
@pytest.mark.parametrize("call", [connect_with_a_buffer, ask, answer_a_ping_later])
def test_a_thread_whose_start_is_interrupted_holds_up_no_closing(
    call: Callable[[blocking.BlockingBackend, str], None], has_started: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        if threading.current_thread() is not threading.main_thread() or "keepalive" in thread.name:
            start(thread)
            return
        monkeypatch.setattr(threading.Thread, "start", start)
        if has_started:
            start(thread)
        raise Interrupt

    with server() as (url, _), blocking.BlockingBackend(request=basic_request.timeouts(close=60)) as backend:
        monkeypatch.setattr(threading.Thread, "start", interrupted)
        with pytest.raises(Interrupt):
            call(backend, url)
        with alarms(interrupt, 10):
            backend.close()


def test_a_multiplexer_whose_start_is_interrupted_says_that_it_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    run_until_closed = Session.run_until_closed

    def interrupted(*_: Any) -> None:
        monkeypatch.setattr(Session, "run_until_closed", run_until_closed)
        raise Interrupt

    with server() as (url, _), blocking.connect(url) as ws:
        client = Client(ws)
        monkeypatch.setattr(Session, "run_until_closed", interrupted)
        with pytest.raises(Interrupt):
            client.ask("a question")
        with alarms(interrupt, 10), pytest.raises(ConnectionLost):
            client.ask("another one")


def test_a_listener_that_is_interrupted_before_it_begins_holds_up_no_closing(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> None:
        raise Interrupt

    with server() as (url, _), blocking.BlockingBackend(request=basic_request.timeouts(close=60)) as backend:
        monkeypatch.setattr(_Delivery, "start", interrupted)
        with pytest.raises(Interrupt):
            backend.open_websocket(url, Listener())
        with alarms(interrupt, 10):
            backend.close()


def each_place(file: str, act: Callable[[], object]) -> Iterator[contextlib.AbstractContextManager[None]]:
    """Yield a block for each place of a file at which CPython runs signal handlers; the n-th block acts at the n-th."""
    count = position = 0

    def profile(frame: FrameType, event: str, _: object) -> None:
        nonlocal count
        if event in ("call", "c_return") and frame.f_code.co_filename == file:
            count += 1
            if count == position:
                sys.setprofile(None)
                act()

    @contextlib.contextmanager
    def profiled() -> Iterator[None]:
        sys.setprofile(profile)
        try:
            yield
        finally:
            sys.setprofile(None)

    while count == position:
        count, position = 0, position + 1
        yield profiled()


def test_a_reconnect_goes_on_after_an_interrupted_step() -> None:
    with server() as (url, _):
        for place in each_place(str(reconnecting.__file__), interrupt):
            with blocking.reconnect(url) as connections:
                with contextlib.suppress(Interrupt), place:
                    next(iter(connections))
                ws = next(iter(connections))
                ws.send_text("echo")
                assert ws.receive_text() == "echo"


def test_a_loop_over_the_messages_of_a_reconnect_goes_on_after_an_interrupted_step() -> None:
    def interrupt_once_open(*_: Any) -> None:
        if connections.websocket is not None:
            raise Interrupt

    with server() as (url, _), blocking.reconnect(url) as connections:
        messages = connections.messages()
        with alarms(interrupt_once_open, 0.1, 0.1), pytest.raises(Interrupt):
            next(messages)
        assert connections.websocket is not None
        connections.websocket.send_text("echo")
        assert next(messages) == "echo"


@pytest.mark.parametrize(
    "call", [lambda client: client.ask("b"), lambda client: client.websocket.close()], ids=["ask", "close"]
)
def test_a_signal_handler_may_call_a_multiplexer_at_any_moment(call: Callable[[Client[Blocking]], object]) -> None:
    def call_again() -> None:
        with contextlib.suppress(ReentrantCall):
            call(client)

    with EchoServer() as echo_server:
        for place in each_place(str(exchanges.__file__), call_again):
            with alarms(interrupt, 10), blocking.connect(echo_server.url) as ws:
                client = Client(ws)
                with contextlib.suppress(WebSocketClosed), place:
                    assert client.ask("a") == "a"


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda ws: ws.send_text("from the handler"), None),
        (lambda ws: ws.close(), ReentrantCall),
        (lambda ws: ws.ping(), ReentrantCall),
        (lambda ws: ws.receive(), ConcurrentReceive),
    ],
    ids=["send", "close", "ping", "receive"],
)
def test_a_signal_handler_may_call_the_websocket_in_which_its_thread_waits(
    call: Callable[[WebSocket[Blocking]], object], error: type[Exception] | None
) -> None:
    errors: list[BaseException | None] = []

    def handle(*_: Any) -> None:
        try:
            call(ws)
            errors.append(None)
        except (ConcurrentReceive, ReentrantCall) as raised:
            errors.append(raised)
        ws.send_text("echo")

    with server() as (url, _), blocking.connect(url) as ws:
        with alarms(handle, 0.05):
            assert ws.receive_text(timeout=10) == "echo"
        assert [type(each) for each in errors] == [type(None) if error is None else error]


@contextlib.contextmanager
def silent_server() -> Iterator[str]:
    """Run a server that answers the opening handshake of a /websocket, and nothing else."""
    with contextlib.ExitStack() as stack, socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            while True:
                try:
                    peer = stack.enter_context(listener.accept()[0])
                except OSError:
                    return
                server = WSConnection(ConnectionType.SERVER)
                server.receive_data(peer.recv(65536))
                request = next(server.events())
                if isinstance(request, wsproto.events.Request) and request.target == "/websocket":
                    peer.sendall(server.send(wsproto.events.AcceptConnection()))

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield f"ws://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


CONNECTS: dict[str, Callable[..., object]] = {
    "connect": blocking.connect,
    "threaded connect": lambda url, **options: threaded.connect(url, **options).result(),
    "backend": lambda url, **options: blocking.BlockingBackend().connect(url, **options),
}
LONG_CALLS: dict[str, Callable[[WebSocket[Blocking], str, float], object]] = {
    "receive": lambda ws, _, seconds: ws.receive(timeout=seconds),
    "receive_text": lambda ws, _, seconds: ws.receive_text(timeout=seconds),
    "send": lambda ws, _, seconds: ws.send_binary(bytes(32 << 20), timeout=seconds),
    "ping": lambda ws, _, seconds: ws.ping(timeout=seconds),
    "connect": lambda _, url, seconds: CONNECTS["connect"](url, open_timeout=seconds),
    "threaded connect": lambda _, url, seconds: CONNECTS["threaded connect"](url, open_timeout=seconds),
    "backend": lambda _, url, seconds: CONNECTS["backend"](url, open_timeout=seconds),
}


def end_of(call: Callable[[], object]) -> tuple[type[BaseException], float]:
    """Return the kind of the error that the call raises, and the seconds until then."""
    begin = time.monotonic()
    try:
        call()
    except BaseException as error:  # noqa: BLE001 - a private one, too
        return type(error), time.monotonic() - begin
    raise AssertionError("the call raised nothing")


@pytest.mark.parametrize(
    ("interrupted", "inner"),
    [
        *((outer, "receive") for outer in LONG_CALLS if outer != "threaded connect"),
        *(("receive", inner) for inner in LONG_CALLS),
    ],
)
def test_a_call_in_a_signal_handler_has_its_own_time_limit(interrupted: str, inner: str) -> None:
    ends: list[tuple[type[BaseException], float]] = []

    def handle(*_: Any) -> None:
        ends.append(end_of(lambda: LONG_CALLS[inner](other, url, 0.5)))

    with silent_server() as url, contextlib.ExitStack() as stack:
        ws, other = (blocking.connect(f"{url}/websocket", close_timeout=0.01) for _ in range(2))
        stack.callback(ws.close)
        stack.callback(other.close)
        with alarms(handle, 0.05):
            ends.append(end_of(lambda: LONG_CALLS[interrupted](ws, url, 0.2)))
    for error, seconds in ends:
        assert issubclass(error, TimeoutError)
        assert seconds >= 0.5


def test_a_close_in_a_signal_handler_takes_its_own_time() -> None:
    with silent_server() as url, contextlib.ExitStack() as stack:
        ws, other = (blocking.connect(f"{url}/websocket", close_timeout=0.5) for _ in range(2))
        stack.callback(ws.close)
        with alarms(lambda *_: other.close(), 0.05), pytest.raises(TimeoutError):
            ws.receive(timeout=0.2)
        assert other.close_info is not None
        assert other.close_info.cause is CloseCause.TIMEOUT
        assert ws.is_open


@pytest.mark.parametrize("name", CONNECTS)
def test_a_call_in_a_callback_has_its_own_time_limit(name: str) -> None:
    ends: list[tuple[type[BaseException], float]] = []

    def authenticate() -> dict[str, str]:
        ends.append(end_of(lambda: blocking.connect(url, open_timeout=0.5)))
        ends.append(end_of(lambda: threaded.connect(url, open_timeout=0.5).result()))
        return {}

    with silent_server() as url, pytest.raises(TimeoutError):
        CONNECTS[name](url, open_timeout=0.2, auth=authenticate)
    assert [issubclass(error, TimeoutError) for error, _ in ends] == [True, True]
    assert all(seconds >= 0.5 for _, seconds in ends)


WHILE_FLUSHING = """
import signal, socket, sys, threading
from polysocket import ReentrantCall, blocking

name, url = sys.argv[1:]
is_armed = False
outcome = "not called"

class Socket(socket.socket):
    def send(self, data, *flags):
        global is_armed
        is_main = threading.current_thread() is threading.main_thread()
        if is_armed and is_main and isinstance(data, bytearray):  # one that has waited for the network
            is_armed = False
            signal.raise_signal(signal.SIGUSR1)
        return super().send(data, *flags)

CALLS = {
    "send": lambda: ws.send_text("from the handler"),
    "close": lambda: ws.close(),
    "ping": lambda: ws.ping(),
    "receive": lambda: ws.receive(timeout=10),
    "receive_text": lambda: ws.receive_text(),
    "is_open": lambda: ws.is_open,
    "latency": lambda: ws.latency,
}

def handle(*_):
    global outcome
    other = threading.Thread(target=ws.send_text, args=["from another thread"])
    other.start()
    other.join(0.2)  # It waits for the main thread, which is in the middle of sending.
    try:
        CALLS[name]()
        outcome = "made"
    except ReentrantCall:
        outcome = "refused"

signal.signal(signal.SIGUSR1, handle)
sock = Socket()
sock.connect(("127.0.0.1", int(url.rsplit(":", 1)[1])))
with blocking.connect(url, sock=sock, compression=None) as ws:
    is_armed = True
    while is_armed:
        ws.send_binary(bytes(4 << 20))
    ws.send_text("echo")
    assert ws.receive_text(timeout=10) == "echo"
print(outcome)
"""


@pytest.mark.parametrize(
    ("name", "outcome"),
    [
        ("send", "refused"),
        ("close", "refused"),
        ("ping", "refused"),
        ("receive", "refused"),
        ("receive_text", "refused"),
        ("is_open", "made"),
        ("latency", "made"),
    ],
)
def test_a_signal_handler_never_waits_for_its_own_thread_that_sends_what_is_pending(name: str, outcome: str) -> None:
    with server() as (url, _):
        command = [sys.executable, "-c", WHILE_FLUSHING, name, url]
        printed = subprocess.run(command, check=True, timeout=30, capture_output=True, text=True).stdout
    assert printed.strip() == outcome


def test_a_signal_handler_that_sends_never_waits_for_its_own_thread() -> None:
    outcomes: set[str] = set()

    def handle(*_: Any) -> None:
        try:
            ws.send_text("from the handler")
            outcomes.add("sent")
        except ReentrantCall:
            outcomes.add("refused")

    with server() as (url, reports):
        with blocking.connect(url) as ws:
            end = time.monotonic() + 0.3
            sent = 0
            with alarms(handle, 1e-4, 1e-4):
                while time.monotonic() < end:
                    ws.send_text("from the program")
                    sent += 1
        texts, code = reports.get(timeout=10)
    assert code == 1000
    assert texts.count("from the program") == sent
    assert "sent" in outcomes
