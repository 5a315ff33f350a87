"""The blocking flavour as its users call it: plain values, ``with`` and ``for``; threads; Ctrl-C."""

from __future__ import annotations

import _thread
import asyncio
import contextlib
import functools
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any
from unittest import mock

import pytest

from polysocket import (
    Async,
    Blocking,
    Close,
    CloseCause,
    ConcurrentReceive,
    Ping,
    ReceiveTimeout,
    Text,
    WebSocket,
    WebSocketClosed,
    blocking,
    polymorphic,
)
from polysocket._session.receiving import Receiver
from polysocket.effects import polling, run
from polysocket.effects.blocking import BlockingEffect
from polysocket.effects.sockets import SocketStream
from polysocket.testing.contract import wire
from polysocket.testing.contract.fixtures import every_transport
from polysocket.testing.contract.places import Echo, Peer, client_context
from polysocket.testing.contract.wire import Wire
from tests.builds import replaces_core

WAIT = polling.wait_until_ready  # the original, which tests replace


@contextlib.contextmanager
def connected(peer: Peer) -> Iterator[WebSocket[Blocking]]:
    """Open a websocket to a peer that hangs up first."""
    with blocking.connect(peer.url, **peer.options()) as ws:
        yield ws
        peer.hang_up()


@every_transport
def test_calls_return_plain_values(echo: Echo) -> None:
    with blocking.connect(echo.url, **echo.options()) as ws:
        ws.send_text("a")
        assert ws.receive_text() == "a"
        ws.send_binary(b"b")
        assert ws.receive_binary() == b"b"
        ws.send(Text("c", final=False))
        ws.send(Text("d"), is_continuation=True)
        assert ws.receive_message() == "cd"
        assert ws.ping() > 0
        ws.pong()
        assert ws.is_open
        assert ws.either(lambda: 1) == 1
    assert not ws.is_open
    assert ws.either(ws.receive_text) == Close(1000)
    assert ws.either_close(ws.receive_text) == Close(1000)


def test_close_closes_a_websocket_without_a_with_block(echo: Echo) -> None:
    ws = blocking.connect(echo.url)
    ws.send_text("a")
    ws.close(4000, "done")
    assert ws.close_info is not None
    assert (ws.close_info.code, ws.close_info.cause) == (4000, CloseCause.CLOSE)


def test_a_for_loop_yields_messages_and_ends_at_a_normal_close(peer: Peer) -> None:
    with connected(peer) as ws:
        peer.send(b"".join(wire.encode(wire.TEXT, each) for each in "abc") + wire.close(1001))
        assert list(ws) == ["a", "b", "c"]
        assert list(ws) == []


def test_a_for_loop_raises_at_an_abnormal_close(peer: Peer) -> None:
    with connected(peer) as ws:
        peer.send(wire.encode(wire.TEXT, "a") + wire.close(4321, "why"))
        messages = iter(ws)
        assert next(messages) == "a"
        with pytest.raises(WebSocketClosed, match="4321 'why'"):
            next(messages)


def test_a_polymorphic_program_returns_its_value(echo: Echo) -> None:
    @polymorphic
    async def ask(ws: WebSocket[Async], question: str) -> str:
        await ws.send_text(question)
        return await ws.receive_text()

    with blocking.connect(echo.url) as ws:
        assert ask(ws, "?") == "?"


# Threads


def test_a_sender_stops_waiting_if_another_thread_has_sent_its_bytes() -> None:
    """A reading thread also sends pending bytes; it may do so just before the sender starts to wait."""
    left, right = socket.socketpair()

    class Raced(SocketStream):
        def _wait(self, *, readable: bool, buffer: memoryview | None = None) -> bytes | int | None:
            while not readable and self.pending:
                super()._wait(readable=True)  # as a reading thread would
            return super()._wait(readable=readable, buffer=buffer)

    def wait_for_something(fd: int, readable: bool, writable: bool, seconds: float) -> tuple[bool, bool]:
        assert readable or writable, "this waits forever"
        return WAIT(fd, readable, writable, seconds)

    with left, right:
        stream = Raced(left)
        reading = threading.Thread(target=lambda: [None for _ in iter(lambda: right.recv(1 << 20), b"")])
        stream.write(bytes(4_000_000))
        assert stream.pending, "the system has accepted all bytes"
        reading.start()
        try:
            with mock.patch.object(polling, "wait_until_ready", wait_for_something):
                run(stream.drain())
        finally:
            stream.abort()
            reading.join()


@pytest.mark.timeout(20)
def test_bytes_written_while_another_thread_reads_are_sent() -> None:
    """The reader started to wait when there was nothing to send, and no thread drains."""
    left, right = socket.socketpair()
    waits = threading.Event()

    def wait(fd: int, readable: bool, writable: bool, seconds: float) -> tuple[bool, bool]:
        waits.set()
        return WAIT(fd, readable, writable, seconds)

    with left, right, mock.patch.object(polling, "wait_until_ready", wait):
        stream = SocketStream(left)
        reader = threading.Thread(target=lambda: run(stream.read()))
        reader.start()
        assert waits.wait(5)
        try:
            stream.write(bytes(4_000_000))
            assert stream.pending, "the system has accepted all bytes"
            received = 0
            while received < 4_000_000:
                received += len(right.recv(1 << 20))
        finally:
            stream.abort()
            reader.join()


class _Inheriting(threading.Thread):
    """A thread that inherits the context of its creator, as in free-threaded Python 3.14."""

    def __init__(self, *, target: Callable[..., object], **options: Any) -> None:
        super().__init__(target=functools.partial(copy_context().run, target), **options)


async def _until_a_limit_has_passed(effect: BlockingEffect, program: Callable[[], Coroutine[Any, Any, None]]) -> None:
    with contextlib.suppress(TimeoutError):
        async with effect.time_limit(0.01):
            await program()


def test_a_background_program_does_not_inherit_the_time_limit_of_its_caller() -> None:
    effect = BlockingEffect()
    begin, done = effect.event(), threading.Event()

    async def in_the_background() -> None:
        await begin.wait()
        done.set()

    async def spawn_and_wait() -> None:
        effect.spawn(in_the_background, lambda _: None)
        await effect.event().wait()

    with mock.patch.object(threading, "Thread", _Inheriting):
        run(_until_a_limit_has_passed(effect, spawn_and_wait))
    begin.set()
    assert done.wait(5)


def test_pending_bytes_are_sent_even_if_a_time_limit_passes() -> None:
    left, right = socket.socketpair()
    with left, right:
        stream = SocketStream(left)
        stream.write(bytes(4_000_000))
        with mock.patch.object(threading, "Thread", _Inheriting):
            run(_until_a_limit_has_passed(BlockingEffect(), stream.drain))
        try:
            right.settimeout(5)
            received = 0
            while received < 4_000_000:
                received += len(right.recv(1 << 20))
        finally:
            stream.abort()


def test_abort_does_not_close_the_socket_while_another_thread_receives_from_it() -> None:
    """The system might reuse the file descriptor for a new socket, from which the thread would receive."""

    class Aborted(socket.socket):
        def recv(self, *args: Any) -> bytes:
            aborting = threading.Thread(target=stream.abort)
            aborting.start()
            aborting.join()
            still_open.append(self.fileno() != -1)
            return super().recv(*args)

    still_open: list[bool] = []
    left, right = socket.socketpair()
    with right, Aborted(fileno=left.detach()) as aborted:
        stream = SocketStream(aborted)
        right.send(b"a")
        run(stream.read())
        assert still_open == [True]
        assert aborted.fileno() == -1


def test_abort_waits_for_the_thread_that_sends_pending_bytes() -> None:
    def wait_and_be_slow(*args: Any) -> tuple[bool, bool]:
        ready = WAIT(*args)
        if threading.current_thread().name == "polysocket send":
            threading.Event().wait(0.1)
        return ready

    left, right = socket.socketpair()
    with left, right, mock.patch.object(polling, "wait_until_ready", wait_and_be_slow):
        stream = SocketStream(left)
        stream.write(bytes(4_000_000))
        run(_until_a_limit_has_passed(BlockingEffect(), stream.drain))
        assert "polysocket send" in [thread.name for thread in threading.enumerate()]
        stream.abort()
        assert "polysocket send" not in [thread.name for thread in threading.enumerate()]


@replaces_core
def test_a_refused_second_receive_does_not_block_later_ones(peer: Peer) -> None:
    class Raced(Receiver):
        """A receiver whose second caller reads the flag just before the first one clears it."""

        flag = False

        @property
        def is_receiving(self) -> bool:
            flag = self.flag
            if threading.current_thread() is not first:
                looked.set()
                first.join(0.2)
            return flag

        @is_receiving.setter
        def is_receiving(self, flag: bool) -> None:
            if threading.current_thread() is first and not flag:
                ending.set()
                looked.wait(0.2)
            self.flag = flag

    ending, looked = threading.Event(), threading.Event()
    with connected(peer) as ws:
        first = threading.Thread(target=ws.receive)
        del ws._session.receiver.__dict__["is_receiving"]
        ws._session.receiver.__class__ = Raced
        first.start()
        peer.send(wire.encode(wire.TEXT, "for the first") + wire.encode(wire.TEXT, "for the second"))
        ending.wait()
        with contextlib.suppress(ConcurrentReceive):
            assert ws.receive(timeout=5) == Text("for the second")
            peer.send(wire.encode(wire.TEXT, "for the second"))
        assert ws.receive(timeout=5) == Text("for the second")


@pytest.mark.parametrize("transport", ["tcp", "tls"], indirect=True)
def test_many_threads_may_send_while_one_receives(echo: Echo) -> None:
    def send(number: int) -> None:
        for _ in range(20):
            ws.send_text(f"{number} " * 5_000)

    with blocking.connect(echo.url, **echo.options()) as ws:
        threads = [threading.Thread(target=send, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        received = [ws.receive_text() for _ in range(4 * 20)]
        for thread in threads:
            thread.join()
    assert sorted(received) == sorted(f"{number} " * 5_000 for number in range(4) for _ in range(20))


class _OneAtATime:
    """An object of OpenSSL that fails if two threads use it at the same time."""

    def __init__(self, tls: Any) -> None:
        self._tls = tls
        self._busy = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._tls, name)

        def call(*args: Any) -> Any:
            assert self._busy.acquire(blocking=False), "two threads use OpenSSL's object"
            try:
                time.sleep(0)  # lets another thread run
                return method(*args)
            finally:
                self._busy.release()

        return call


@pytest.mark.parametrize("transport", ["tls"], indirect=True)
def test_no_two_threads_use_openssl_at_the_same_time(echo: Echo) -> None:
    def send(number: int) -> None:
        for _ in range(30):
            ws.send_text(f"{number} " * 10_000)

    with blocking.connect(echo.url, compression=None, ssl=client_context()) as ws:
        stream: Any = ws._session._stream
        stream._tls = _OneAtATime(stream._tls)
        with ThreadPoolExecutor(2) as pool:
            sending = [pool.submit(send, number) for number in range(2)]
            for _ in range(2 * 30):
                ws.receive_text(timeout=5)
            for future in sending:
                future.result()


def test_close_with_a_silent_peer_reports_the_timeout_even_if_another_thread_receives(peer: Peer) -> None:
    """The thread that the end of the connection wakes must not be the one that sets the cause."""
    with blocking.connect(peer.url, close_timeout=0.05) as ws:
        caught: list[WebSocketClosed] = []

        def receive() -> None:
            try:
                ws.receive()
            except WebSocketClosed as error:
                caught.append(error)

        abort = ws._session._stream.abort

        def abort_and_be_slow() -> None:
            abort()
            thread.join(0.2)

        thread = threading.Thread(target=receive)
        thread.start()
        with mock.patch.object(ws._session._stream, "abort", abort_and_be_slow):
            ws.close()
        thread.join()
        assert ws.close_info is not None
        assert ws.close_info.cause is CloseCause.TIMEOUT
        assert [error.close_info for error in caught] == [ws.close_info]


# Ctrl-C

in_the_main_thread = pytest.mark.skipif(
    threading.current_thread() is not threading.main_thread(), reason="signals go to the main thread"
)


@contextlib.contextmanager
def ctrl_c(function: str = "wait_until_ready") -> Iterator[None]:
    """Interrupt the main thread once it waits for the network."""
    wait = getattr(polling, function)

    def interrupted(*args: Any) -> Any:
        if threading.current_thread() is threading.main_thread():
            _thread.interrupt_main()
        return wait(*args)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with mock.patch.object(polling, function, interrupted), pytest.raises(KeyboardInterrupt):
            yield
    finally:
        signal.signal(signal.SIGINT, before)


@in_the_main_thread
@every_transport
def test_ctrl_c_in_receive_raises_at_once_and_closes_with_1001(peer: Peer) -> None:
    ws = blocking.connect(peer.url, **peer.options())
    with ctrl_c(), ws:
        ws.receive()
    assert not ws.is_open
    assert peer.rest() == [Wire(wire.CLOSE, b"\x03\xe9")]


@in_the_main_thread
def test_ctrl_c_in_the_opening_handshake_leaks_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, ctrl_c():
        blocking.connect(f"ws://localhost:{listener.getsockname()[1]}/")


@in_the_main_thread
def test_ctrl_c_while_connecting_leaks_nothing() -> None:
    def interrupted(*_: object) -> None:
        _thread.interrupt_main()

    with ctrl_c(), mock.patch("socket.socket.connect", interrupted):
        blocking.connect("ws://localhost:1/")


# Imports


def test_the_blocking_flavour_imports_neither_asyncio_nor_trio_nor_anyio() -> None:
    code = (
        "import polysocket.blocking, sys; "
        "print([name for name in ('asyncio', 'trio', 'anyio', 'uvloop') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout.strip() == "[]"


def test_a_receive_works_after_one_that_timed_out(peer: Peer) -> None:
    with connected(peer) as ws:
        with pytest.raises(ReceiveTimeout):
            ws.receive(timeout=0.01)
        peer.send(wire.encode(wire.PING, b"x"))
        assert ws.receive(timeout=5) == Ping(b"x")


async def _sleep(ws: WebSocket[Async]) -> None:
    await asyncio.sleep(0)


async def _suspend_within_a_block(ws: WebSocket[Async]) -> None:
    async with ws:
        await asyncio.sleep(0)


@pytest.mark.parametrize("program", [_sleep, _suspend_within_a_block])
def test_a_program_that_awaits_an_event_loop_is_refused(
    peer: Peer, program: Callable[[WebSocket[Async]], Coroutine[Any, Any, None]]
) -> None:
    ws = blocking.connect(peer.url, close_timeout=1)
    with pytest.raises(RuntimeError, match="awaited something that is not of its flavour"):
        polymorphic(program)(ws)
    peer.hang_up()
    ws.close()
    with pytest.raises(WebSocketClosed):
        ws.send_text("too late")
