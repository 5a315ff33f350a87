"""A flavour for Twisted: ``F[T]`` is ``Deferred[T]``, in one file made of polysocket's public names.

To type checkers ``F[T]`` is what can be awaited, with its exact ``T``. Where its callbacks are wanted,
``ensureDeferred(ws.receive_text())`` is the same Deferred, and known as one.
"""
# ruff: noqa: N802 - the callbacks have Twisted's names

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextvars import ContextVar, copy_context
from typing import Any, ParamSpec, TypeVar, Unpack

from twisted.internet import endpoints as twisted_endpoints
from twisted.internet import reactor as twisted_reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError, ConnectionAborted, ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer  # type: ignore[import-untyped]

from polysocket import Async, Backend, ProxySetting, Request, WebSocket, basic_request
from polysocket.backend import SocketOpener
from polysocket.opening import ConnectOptions, Route, open_websocket

P = ParamSpec("P")
T = TypeVar("T")

reactor: Any = twisted_reactor  # described to zope.interface, not to type checkers
endpoints: Any = twisted_endpoints

READ_AHEAD = WRITE_AHEAD = 64 * 1024  # bytes; the latter is the transport's


class Twisted(Async):
    """The tag of Deferreds."""


def connect(url_or_request: str | Request, /, **options: Unpack[ConnectOptions]) -> Deferred[WebSocket[Twisted]]:
    """Open a websocket, whose methods give Deferreds."""
    effect = TwistedEffect()
    return effect.lift(open_websocket)(effect, url_or_request, options)


class TwistedBackend(Backend[Twisted]):
    """A backend whose methods give Deferreds."""

    def __init__(
        self, *, ssl: ssl.SSLContext | None = None, proxy: ProxySetting = None, request: Request = basic_request
    ) -> None:
        super().__init__(SocketOpener(TwistedEffect(), Route(ssl, proxy=proxy), request))


class Task:
    """A program that runs, by the Deferred of its result."""

    deferred: Deferred[Any]


_task: ContextVar[Task] = ContextVar("_task")


class TwistedEffect:
    """The Effect of Twisted's reactor."""

    is_async = True  # A Deferred can be awaited: by programs, listeners, pipes and "async with".

    def lift(self, program: Callable[P, Coroutine[Any, Any, T]], /) -> Callable[P, Deferred[T]]:
        def call(*args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
            context, task = copy_context(), Task()
            context.run(_task.set, task)
            task.deferred = context.run(Deferred.fromCoroutine, program(*args, **kwargs))
            return task.deferred

        return call

    async def unlift(self, value: Deferred[T], /) -> T:
        return await value

    def event(self) -> TwistedEvent:
        return TwistedEvent()

    @contextlib.asynccontextmanager
    async def time_limit(self, seconds: float | None, /) -> AsyncGenerator[None]:
        task, has_passed = _task.get(), False

        def interrupt() -> None:
            nonlocal has_passed
            has_passed = True
            task.deferred.cancel()  # what it waits for, wherever that is

        timer = None if seconds is None else reactor.callLater(seconds, interrupt)
        try:
            yield
        except Exception as error:  # Each Deferred has an error of its own for being cancelled.
            if has_passed:
                raise TimeoutError(f"{seconds} seconds have passed") from error
            raise
        finally:
            if timer is not None and timer.active():
                timer.cancel()

    def current_task(self) -> object:
        return _task.get()

    def now(self) -> float:
        seconds: float = reactor.seconds()
        return seconds

    def spawn(self, program: Callable[[], Coroutine[Any, Any, None]], /) -> None:
        _ = self.lift(program)()  # What it may raise, Twisted logs.

    async def connect_tcp(self, host: str, port: int, /) -> TwistedLink:
        link = await self._connect(endpoints.HostnameEndpoint(reactor, host, port))
        link.transport.setTcpNoDelay(True)
        return link

    async def connect_unix(self, path: str, /) -> TwistedLink:
        return await self._connect(endpoints.UNIXClientEndpoint(reactor, path))

    async def _connect(self, endpoint: Any) -> TwistedLink:
        try:
            link: TwistedLink = await endpoints.connectProtocol(endpoint, TwistedLink())
        except ConnectError as error:
            raise ConnectionError(str(error)) from error
        return link

    async def adopt(self, sock: socket.socket, /) -> TwistedLink:
        link = TwistedLink()
        with sock:  # The reactor makes its own of it.
            sock.setblocking(False)
            reactor.adoptStreamConnection(sock.fileno(), sock.family, Factory.forProtocol(lambda: link))
        return link


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
class TwistedLink(Protocol):
    """A Link over a transport of Twisted's, of which it is the protocol."""

    transport: Any

    def __init__(self) -> None:
        self._received = bytearray()
        self._news = TwistedEvent()
        self._writable = TwistedEvent()
        self._writable.set()
        self._lost = TwistedEvent()
        self._has_ended = False
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
        await self._writable.wait()
        self.write(b"")

    async def close(self) -> None:
        if not self._lost.is_set:
            self.transport.unregisterProducer()  # or it would be asked for more first
            self.transport.loseConnection()
        await self._lost.wait()

    def abort(self) -> None:
        if not self._lost.is_set:
            self.transport.abortConnection()

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
        self._writable = TwistedEvent()

    def resumeProducing(self) -> None:
        self._writable.set()

    def stopProducing(self) -> None:
        pass
