"""A flavour for Twisted: ``F[T]`` is ``Deferred[T]``, in one file.

To type checkers, ``F[T]`` is an awaitable with its exact ``T``. If you need the type Deferred, to add callbacks,
``ensureDeferred(ws.receive_text())`` returns the same object with that type.
"""
# ruff: noqa: N802, N815 - Twisted names the callbacks

from __future__ import annotations

import contextlib
import socket
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, Unpack

from twisted.internet import endpoints as twisted_endpoints
from twisted.internet import reactor as twisted_reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectError, ConnectionAborted, ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure
from zope.interface import implementer  # type: ignore[import-untyped]

from polysocket import Async, ConnectOptions, Request, WebSocket
from polysocket.backend import SocketBackend
from polysocket.effects import EagerEffect, PushStream, WaiterEvent, unacknowledged_bytes
from polysocket.websocket import open_websocket

reactor: Any = twisted_reactor  # described to zope.interface, not to type checkers
endpoints: Any = twisted_endpoints

T = TypeVar("T")


class Twisted(Async):
    """The tag of Deferreds: a call returns ``Deferred[T]``."""


def new_event() -> WaiterEvent[Deferred[None]]:
    return WaiterEvent(Deferred, lambda deferred: reactor.callLater(0, deferred.callback, None))


class TwistedEffect(EagerEffect):
    """The effect of Twisted's reactor."""

    name = "the flavour for Twisted"
    cancellation = CancelledError
    begin = staticmethod(Deferred.fromCoroutine)
    cancel = staticmethod(Deferred.cancel)
    event = staticmethod(new_event)

    def call_later(self, seconds: float, function: Callable[[], object], /) -> Callable[[], object]:
        timer = reactor.callLater(seconds, function)
        return lambda: timer.cancel() if timer.active() else None

    def now(self) -> float:
        return float(reactor.seconds())

    async def run_blocking(self, function: Callable[[], T], /) -> T:
        result: T = await deferToThread(function)
        return result

    async def connect_tcp(self, host: str, port: int, local_address: tuple[str, int] | None = None, /) -> TwistedStream:
        endpoint = endpoints.HostnameEndpoint(reactor, host, port, bindAddress=local_address)
        stream = await self._connect(endpoint)
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
        with sock:  # The reactor duplicates the socket.
            sock.setblocking(False)
            reactor.adoptStreamConnection(sock.fileno(), sock.family, Factory.forProtocol(lambda: stream))
        return stream


effect = TwistedEffect()


class TwistedWebSocket(WebSocket[Twisted], effect=effect):
    """A websocket whose methods return Deferreds."""


class TwistedBackend(SocketBackend[Twisted], effect=effect):
    """A backend whose methods return Deferreds."""


def connect(url_or_request: str | Request, /, **options: Unpack[ConnectOptions]) -> Deferred[TwistedWebSocket]:
    """Open a websocket whose methods return Deferreds."""
    return effect.lift(open_websocket)(TwistedWebSocket, effect, url_or_request, options)  # type: ignore[no-any-return]


def plainly_cancelled(deferred: Deferred[Any]) -> Deferred[Any]:
    """Return a Deferred that fails with CancelledError if it is cancelled: endpoints fail with errors of their own."""

    def cancel(_: object) -> None:
        plain.errback(CancelledError())
        deferred.cancel()

    plain: Deferred[Any] = Deferred(cancel)
    _ = deferred.addBoth(lambda outcome: None if plain.called else plain.callback(outcome))
    return plain


@implementer(IHalfCloseableProtocol, IPushProducer)
class TwistedStream(PushStream, Protocol):
    """A ByteStream that is the protocol of a Twisted transport."""

    dataReceived = PushStream.data_received
    readConnectionLost = PushStream.eof_received
    pauseProducing = PushStream.pause_writing
    resumeProducing = PushStream.resume_writing

    def __init__(self) -> None:
        super().__init__(new_event)

    def unsent(self) -> int:
        transport = self.transport
        if transport is None:
            return 0
        buffered = len(transport.dataBuffer) - transport.offset + transport._tempDataLen
        return int(buffered) + unacknowledged_bytes(transport.socket)

    def connectionMade(self) -> None:
        sock = self.transport.getHandle()
        with contextlib.suppress(OSError):  # The peer has already reset the connection.
            self.local_address, self.remote_address = sock.getsockname(), sock.getpeername()
        self.transport.registerProducer(self, True)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        is_error = not isinstance(reason.value, ConnectionDone | ConnectionAborted)
        self.connection_lost(reason.value if is_error else None)

    def writeConnectionLost(self) -> None:
        pass

    def stopProducing(self) -> None:
        # A write has failed, and the transport closes its socket next: take what the peer sent before.
        with contextlib.suppress(OSError):
            while data := self.transport.socket.recv(65536):
                self.data_received(data)

    def pause_reading(self) -> None:
        self.transport.pauseProducing()

    def resume_reading(self) -> None:
        self.transport.resumeProducing()

    def close_transport(self) -> None:
        self.transport.unregisterProducer()  # Otherwise the transport asks for more before it closes.
        self.transport.loseConnection()

    def abort_transport(self) -> None:
        # In the reactor's next turn, the transport may still send a Close. In the turn after, it is aborted.
        self.close_transport()
        reactor.callLater(0, reactor.callLater, 0, self.transport.abortConnection)

    def let_others_run(self) -> Awaitable[None]:
        return deferLater(reactor, 0)
