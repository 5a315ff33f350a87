"""The streams of the flavours, at moments that the contract can't produce."""

from __future__ import annotations

import asyncio
import importlib.util
import socket
import ssl
import sys
import threading
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest

from polysocket._opening.tls import TLSStream
from polysocket.effects import DelegatingEffect, DelegatingStream, run
from polysocket.effects.asyncio import AsyncioEffect
from polysocket.effects.blocking import BlockingEffect
from polysocket.effects.sockets import SocketStream
from polysocket.effects.threaded import ThreadedEffect
from polysocket.testing import EchoServer
from tests.leaks import leave_nothing

__all__ = ["leave_nothing"]


class InterruptedSocket(socket.socket):
    """A socket whose next send is interrupted by a signal handler, after the system has accepted two bytes."""

    is_interrupted = True

    def send(self, data: Any, *flags: Any) -> int:
        if not self.is_interrupted:
            return super().send(data, *flags)
        self.is_interrupted = False
        super().send(data[:2], *flags)
        raise KeyboardInterrupt


class Recordless(DelegatingStream):
    """A stream on which bytes of one long TLS record come, a few at a time."""

    def __init__(self, inner: SocketStream) -> None:
        super().__init__(inner)
        self.arriving = [b"\x16\x03\x03\x40\x00", *[bytes(10)] * 100]

    def read_now(self) -> bytes | None:
        return self.arriving.pop(0) if self.arriving else None


def test_a_look_at_tls_reads_once_although_that_decrypts_nothing(leave_nothing: None) -> None:
    """Else a flood of records without data, such as session tickets, would last as long as the look."""
    sock, other = socket.socketpair()
    with sock, other:
        inner = Recordless(SocketStream(sock))
        stream = TLSStream(inner, ssl.create_default_context(), BlockingEffect(), "localhost", server_side=False)
        for left in (100, 99, 98):
            assert stream.read_now() is None
            assert len(inner.arriving) == left


def interrupted_pair() -> tuple[InterruptedSocket, socket.socket]:
    left, right = socket.socketpair()
    return InterruptedSocket(fileno=left.detach()), right


def test_nothing_is_sent_after_a_write_that_a_signal_handler_interrupted() -> None:
    left, right = interrupted_pair()
    with right:
        stream = SocketStream(left)
        with pytest.raises(KeyboardInterrupt):
            stream.write(b"first")
        with pytest.raises(ConnectionAbortedError, match="interrupted"):
            stream.write(b"second")
        stream.abort()
        assert right.recv(100) == b"fi"
        assert right.recv(100) == b""


def test_nothing_is_sent_after_a_flush_that_a_signal_handler_interrupted() -> None:
    left, right = interrupted_pair()
    with right:
        left.is_interrupted = False
        stream = SocketStream(left)
        size = 4_000_000
        stream.write(bytes(size))
        assert stream.pending > 0
        accepted = size - stream.pending
        left.is_interrupted = True
        draining = threading.Thread(target=lambda: right.recv(accepted, socket.MSG_WAITALL))
        draining.start()
        with pytest.raises(KeyboardInterrupt):
            run(stream.drain())
        draining.join()
        with pytest.raises(ConnectionAbortedError, match="interrupted"):
            run(stream.drain())
        stream.abort()
        assert right.recv(100) == bytes(2)
        assert right.recv(100) == b""


def test_a_small_write_is_sent_without_the_buffer() -> None:
    left, right = socket.socketpair()
    with right:
        stream = SocketStream(left)
        stream.write(b"small")
        assert stream.pending == 0
        assert right.recv(10) == b"small"
        stream.abort()


class NoDelayFails(socket.socket):
    """A socket of a system without TCP_NODELAY."""

    def setsockopt(self, *args: Any) -> None:
        if args[:2] == (socket.IPPROTO_TCP, socket.TCP_NODELAY):
            raise OSError("no such option")
        super().setsockopt(*args)


@pytest.mark.parametrize("effect", [BlockingEffect(), AsyncioEffect()], ids=["blocking", "asyncio"])
def test_a_socket_that_refuses_tcp_nodelay_is_closed(effect: BlockingEffect | AsyncioEffect) -> None:
    drive: Callable[[Any], Any] = run if isinstance(effect, BlockingEffect) else asyncio.run
    with (
        EchoServer() as server,
        mock.patch.object(socket, "socket", NoDelayFails),
        pytest.raises(OSError, match="no such"),
    ):
        drive(effect.connect_tcp("127.0.0.1", int(server.url.split(":")[2].strip("/"))))


@pytest.mark.parametrize("effect", [BlockingEffect(), ThreadedEffect()], ids=["blocking", "threaded"])
def test_on_done_is_called_even_if_no_thread_can_start(effect: BlockingEffect | ThreadedEffect) -> None:
    done: list[BaseException | None] = []

    async def program() -> None:
        raise AssertionError("it has started")

    with mock.patch.object(threading.Thread, "start", side_effect=RuntimeError("can't start new thread")):
        effect.spawn(program, done.append)
    assert [str(error) for error in done] == ["can't start new thread"]


def test_an_error_of_a_background_program_is_reported_by_the_loop_and_passed_to_on_done() -> None:
    done: list[BaseException | None] = []
    reported: list[dict[str, Any]] = []

    async def program() -> None:
        raise LookupError("on purpose")

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
        has_ended = asyncio.Event()

        def on_done(error: BaseException | None) -> None:
            done.append(error)
            has_ended.set()

        AsyncioEffect().spawn(program, on_done)
        await has_ended.wait()

    asyncio.run(main())
    assert [str(error) for error in done] == ["on purpose"]
    assert [context["exception"] for context in reported] == done


@pytest.mark.skipif(importlib.util.find_spec("trio") is None, reason="trio is not installed")
def test_a_drain_in_trio_is_a_checkpoint_even_if_nothing_is_pending() -> None:
    import trio
    import trio.testing

    from polysocket.effects.trio import TrioEffect

    async def main() -> None:
        left, right = socket.socketpair()
        with right:
            stream = await TrioEffect().adopt(left)
            assert stream.pending == 0
            stream.write(b"a")
            assert stream.pending == 0
            with trio.testing.assert_checkpoints():
                await stream.drain()
            stream.abort()

    trio.run(main)


def test_a_stream_of_asyncio_needs_a_drain_after_many_writes_so_that_other_tasks_run() -> None:
    async def main() -> None:
        left, right = socket.socketpair()
        with right:
            stream = await AsyncioEffect().adopt(left)
            others: list[str] = []
            asyncio.get_running_loop().call_soon(others.append, "ran")
            writes = 0
            while not stream.pending:
                stream.write(b"a")
                writes += 1
            assert 1 < writes < 100
            assert not others
            await stream.drain()
            assert others == ["ran"]
            assert stream.pending == 0
            stream.abort()
            await stream.close()

    asyncio.run(main())


def test_a_delegating_effect_and_stream_have_every_method_of_the_interface() -> None:
    from polysocket.effects import ByteStream, Effect

    for interface, delegating in ((Effect, DelegatingEffect), (ByteStream, DelegatingStream)):
        names = {name for base in interface.__mro__ for name in vars(base) if not name.startswith("_")}
        assert names <= set(dir(delegating))


class StubbornSocket(socket.socket):
    """A socket whose sends take no more than a few bytes, or end with errors: one for each send, then as usual."""

    def __init__(self, *outcomes: int | OSError, fileno: int) -> None:
        super().__init__(fileno=fileno)
        self._outcomes = list(outcomes)
        self.sends = 0

    def send(self, data: Any, *flags: Any) -> int:
        self.sends += 1
        outcome = self._outcomes.pop(0) if self._outcomes else len(data)
        if isinstance(outcome, OSError):
            raise outcome
        return super().send(memoryview(data)[:outcome], *flags)


def stubborn_pair(*outcomes: int | OSError) -> tuple[StubbornSocket, socket.socket]:
    left, right = socket.socketpair()
    left.setblocking(False)
    return StubbornSocket(*outcomes, fileno=left.detach()), right


has_selector_loop = pytest.mark.skipif(sys.platform == "win32", reason="the loop sends through overlapped calls")


@has_selector_loop
@pytest.mark.parametrize(
    "outcomes", [(2,), (2, BlockingIOError()), (BlockingIOError(), BlockingIOError(), 3), (0, 1, 1, 1), (5, 1)]
)
def test_what_the_system_does_not_take_from_asyncio_at_once_is_sent_in_its_turn(outcomes: Any) -> None:
    async def program() -> None:
        left, right = stubborn_pair(*outcomes)
        with right:
            stream = await AsyncioEffect().adopt(left)
            for number in range(100):  # more than are sent without a turn of the loop
                stream.write(b"%05d" % number)
                if stream.pending:
                    await stream.drain()
            assert stream.progress()[0] == 500
            await stream.close()
            received = b"".join(iter(lambda: right.recv(1000), b""))
            assert received == b"".join(b"%05d" % number for number in range(100))

    asyncio.run(program())


@has_selector_loop
def test_a_write_in_asyncio_goes_past_the_transport_again_once_that_has_sent_all() -> None:
    async def program() -> None:
        left, right = stubborn_pair(2, BlockingIOError())
        with right:
            stream = await AsyncioEffect().adopt(left)
            stream.write(b"first")
            await asyncio.sleep(0.01)
            stream.write(b"second")
            with mock.patch.object(stream.transport, "write", side_effect=AssertionError):
                stream.write(b"third")
            assert right.recv(100) == b"firstsecondthird"
            await stream.close()

    asyncio.run(program())


@has_selector_loop
def test_the_first_error_of_a_write_in_asyncio_is_told_and_what_had_arrived_is_read() -> None:
    async def program() -> None:
        left, right = stubborn_pair(ConnectionResetError(104, "reset"), BrokenPipeError(32, "broken"))
        with right:
            stream = await AsyncioEffect().adopt(left)
            right.sendall(b"arrived")
            for data in (b"lost", b"lost, too", b"late"):
                with pytest.raises(ConnectionResetError, match="reset"):
                    stream.write(data)
                await asyncio.sleep(0.01 if data == b"lost, too" else 0)
            assert await stream.read() == b"arrived"
            stream.abort()
            await stream.close()

    asyncio.run(program())


@has_selector_loop
def test_an_error_in_asyncio_that_passes_loses_nothing_and_is_forgotten() -> None:
    async def program() -> None:
        left, right = stubborn_pair(OSError(105, "no buffer space"))
        with right:
            stream = await AsyncioEffect().adopt(left)
            stream.write(b"first")
            stream.write(b"second")
            assert right.recv(100) == b"firstsecond"
            right.close()
            assert await stream.read() == b""
            with pytest.raises(ConnectionResetError, match="Broken pipe"):
                stream.write(b"third")
            await asyncio.sleep(0.01)
            with pytest.raises(ConnectionResetError, match="Broken pipe"):
                stream.write(b"fourth")
            stream.abort()
            await stream.close()

    asyncio.run(program())
