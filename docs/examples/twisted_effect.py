"""A flavour for Twisted: ``F[T]`` is ``Deferred[T]``, in one file made of polysocket's public names.

To type checkers ``F[T]`` is what can be awaited, with its exact ``T``. Where its callbacks are wanted,
``ensureDeferred(ws.receive_text())`` is the same Deferred, and known as one.
"""
# ruff: noqa: N802 - the callbacks have Twisted's names

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from typing import Any, ParamSpec, TypeVar, Unpack

from twisted.internet import endpoints as twisted_endpoints
from twisted.internet import reactor as twisted_reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectError, ConnectionAborted, ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from zope.interface import implementer  # type: ignore[import-untyped]

from polysocket import Async, Request, WebSocket
from polysocket._opening.options import ConnectOptions, shows_options
from polysocket.backend import SocketBackend
from polysocket.websocket import open_websocket

P = ParamSpec("P")
T = TypeVar("T")

reactor: Any = twisted_reactor  # described to zope.interface, not to type checkers
endpoints: Any = twisted_endpoints

READ_AHEAD = WRITE_AHEAD = 64 * 1024  # bytes; the latter is the transport's


class Twisted(Async):
    """The tag of Deferreds."""


class Call:
    """A call that goes on, by the Deferred of its result."""

    deferred: Deferred[Any]


_call: ContextVar[Call] = ContextVar("_call")
_task: ContextVar[object] = ContextVar("_task")  # the outermost call, whose program makes the others


class TwistedEffect:
    """The Effect of Twisted's reactor."""

    is_async = True  # A Deferred can be awaited: by programs, listeners, pipes and "async with".

    def lift(self, program: Callable[P, Coroutine[Any, Any, T]], /) -> Callable[P, Deferred[T]]:
        def begin(*args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
            context, call = copy_context(), Call()
            context.run(_call.set, call)
            if _task not in context:
                context.run(_task.set, call)
            call.deferred = context.run(Deferred.fromCoroutine, program(*args, **kwargs))
            return call.deferred

        return begin

    async def unlift(self, value: Deferred[T], /) -> T:
        return await value

    checkpoint = None
    mutex = contextlib.nullcontext

    def event(self) -> TwistedEvent:
        return TwistedEvent()

    @contextlib.asynccontextmanager
    async def time_limit(self, seconds: float | None, /) -> AsyncGenerator[None]:
        call, has_passed = _call.get(), False

        def interrupt() -> None:
            nonlocal has_passed
            has_passed = True
            call.deferred.cancel()  # what it waits for, wherever that is

        timer = None if seconds is None else reactor.callLater(seconds, interrupt)
        try:
            yield
        except CancelledError as error:
            if has_passed:
                raise TimeoutError(f"{seconds} seconds have passed") from error
            raise
        finally:
            if timer is not None and timer.active():
                timer.cancel()

    @contextlib.asynccontextmanager
    async def interruptible(self) -> AsyncGenerator[Callable[[], None]]:
        call, is_interrupted = _call.get(), False

        def interrupt() -> None:
            nonlocal is_interrupted
            is_interrupted = True
            reactor.callLater(0, lambda: None if has_ended else call.deferred.cancel())  # whoever calls may hold a lock

        has_ended = False
        try:
            yield interrupt
        except CancelledError:
            if not is_interrupted:
                raise
        finally:
            has_ended = True

    def current_task(self) -> object:
        return _task.get()

    def is_cancellation(self, error: BaseException, /) -> bool:
        return isinstance(error, CancelledError) or not isinstance(error, Exception)

    def now(self) -> float:
        seconds: float = reactor.seconds()
        return seconds

    def spawn(self, program: Callable[[], Coroutine[Any, Any, None]], /) -> None:
        reactor.callLater(0, Context().run, self.lift(program))  # a task of its own; what it may raise, Twisted logs

    async def connect_tcp(self, host: str, port: int, /) -> TwistedStream:
        stream = await self._connect(endpoints.HostnameEndpoint(reactor, host, port))
        stream.transport.setTcpNoDelay(True)
        return stream

    async def connect_unix(self, path: str, /) -> TwistedStream:
        return await self._connect(endpoints.UNIXClientEndpoint(reactor, path))

    async def _connect(self, endpoint: Any) -> TwistedStream:
        try:
            stream: TwistedStream = await plainly_cancelled(endpoints.connectProtocol(endpoint, TwistedStream()))
        except ConnectError as error:
            raise ConnectionError(str(error)) from error
        return stream

    async def adopt(self, sock: socket.socket, /) -> TwistedStream:
        stream = TwistedStream()
        with sock:  # The reactor makes its own of it.
            sock.setblocking(False)
            reactor.adoptStreamConnection(sock.fileno(), sock.family, Factory.forProtocol(lambda: stream))
        return stream


class TwistedWebSocket(WebSocket[Twisted], effect=TwistedEffect()):
    """An open websocket whose methods return Deferreds."""


@shows_options
def connect(url_or_request: str | Request, /, **options: Unpack[ConnectOptions]) -> Deferred[TwistedWebSocket]:
    """Open a websocket, whose methods return Deferreds."""
    effect = TwistedEffect()
    return effect.lift(open_websocket)(TwistedWebSocket, effect, url_or_request, options)


class TwistedBackend(SocketBackend[Twisted], effect=TwistedEffect()):
    """A backend whose methods return Deferreds."""


def plainly_cancelled(deferred: Deferred[T]) -> Deferred[T]:
    """The same, which fails with CancelledError where it is cancelled: an endpoint has other errors for that."""
    is_cancelled = False

    def cancel(_: Deferred[T]) -> None:
        nonlocal is_cancelled
        is_cancelled = True
        deferred.cancel()

    plain: Deferred[T] = Deferred(cancel)
    _ = deferred.addCallbacks(plain.callback, lambda failure: None if is_cancelled else plain.errback(failure))
    return plain


class TwistedEvent:
    """An Event on which Deferreds wait."""

    def __init__(self) -> None:
        self.is_set = False
        self._waiting: list[Deferred[None]] = []

    def set(self) -> None:
        self.is_set = True
        for deferred in self._waiting:
            reactor.callLater(0, deferred.callback, None)  # not now: whoever sets it may hold a lock
        self._waiting.clear()

    async def wait(self) -> None:
        if not self.is_set:
            deferred: Deferred[None] = Deferred()
            self._waiting.append(deferred)
            await deferred


@implementer(IHalfCloseableProtocol, IPushProducer)
class TwistedStream(Protocol):
    """A ByteStream over a transport of Twisted's, of which it is the protocol."""

    transport: Any

    def __init__(self) -> None:
        self._received = bytearray()
        self._news = TwistedEvent()
        self._writable = TwistedEvent()
        self._writable.set()
        self._lost = TwistedEvent()
        self._has_ended = False
        self._drained = 0
        self._error: BaseException | None = None

    @property
    def pending(self) -> int:
        return 0 if self._writable.is_set else WRITE_AHEAD

    async def read(self) -> bytes:
        while not self._received and not self._has_ended:
            self._news = TwistedEvent()
            await self._news.wait()
        if not self._received and self._error is not None:
            raise ConnectionResetError(str(self._error)) from self._error
        data = bytes(self._received)
        self._received.clear()
        if not self._has_ended:
            self.transport.resumeProducing()
        return data

    def write(self, data: bytes) -> None:
        if self._lost.is_set:
            raise ConnectionResetError(str(self._error or "the connection was ended")) from self._error
        self.transport.write(data)

    async def drain(self) -> None:
        self._drained += 1
        if self._drained % 32 == 0:
            await deferLater(reactor, 0)  # Who sends without ever waiting must let the reactor see to others.
        await self._writable.wait()
        self.write(b"")

    async def close(self) -> None:
        if not self._lost.is_set:
            self.transport.unregisterProducer()  # or it would be asked for more first
            self.transport.loseConnection()
        await self._lost.wait()

    def abort(self) -> None:
        if not self._lost.is_set:
            # In the reactor's next turn it may send what the system takes, such as a Close; then it is over.
            self.transport.unregisterProducer()
            self.transport.loseConnection()
            reactor.callLater(0, reactor.callLater, 0, self.transport.abortConnection)

    # The callbacks of the transport

    def connectionMade(self) -> None:
        self.transport.registerProducer(self, True)

    def dataReceived(self, data: bytes) -> None:
        self._received += data
        if len(self._received) > READ_AHEAD:
            self.transport.pauseProducing()
        self._news.set()

    def readConnectionLost(self) -> None:
        self._has_ended = True
        self._news.set()

    def writeConnectionLost(self) -> None:
        pass

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if not isinstance(reason.value, ConnectionDone | ConnectionAborted):
            self._error = reason.value
        self._has_ended = True
        for event in (self._lost, self._news, self._writable):
            event.set()

    def pauseProducing(self) -> None:
        if self._writable.is_set:  # It is said with each write.
            self._writable = TwistedEvent()

    def resumeProducing(self) -> None:
        self._writable.set()

    def stopProducing(self) -> None:
        pass
