"""The flavour for anyio's users: ``F[T]`` is a coroutine, on asyncio or trio, whichever runs.

sniffio tells which; trio is imported only where it runs. A websocket as anyio's own kind of stream is here, too. How to
wait is not known here.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from ssl import SSLContext
from typing import Any, Unpack

import anyio.abc
import anyio.lowlevel
import sniffio

from polysocket.asyncio import AsyncioEffect
from polysocket.backend import Backend, SocketOpener
from polysocket.effect import Async, Direct, Effect, Event, Link
from polysocket.errors import ConcurrentReceive, NoAsyncLibrary, WebSocketClosed
from polysocket.frames import Binary, Close, Text
from polysocket.opening import ConnectOptions, Route, open_websocket
from polysocket.proxy import ProxySetting
from polysocket.request import Request, basic_request
from polysocket.websocket import Opening, WebSocket

__all__ = ["AnyioBackend", "AnyioEffect", "NoAsyncLibrary", "ObjectStream", "connect", "running_effect"]


def connect(url_or_request: str | Request, /, **options: Unpack[ConnectOptions]) -> Opening[Async]:
    """Open a websocket: await it, or enter it by ``async with``, at whose end it closes.

    The options are those of :class:`~polysocket.opening.ConnectOptions`. Raises :class:`OpeningFailed` (its subclasses
    say at which step), :class:`InvalidURL`, :class:`InvalidRequest`, :class:`NoAsyncLibrary`.
    """

    async def program() -> WebSocket[Any]:
        return await open_websocket(running_effect(), url_or_request, options)

    return Opening(program())


def running_effect() -> Effect:
    """The effect of the library that runs; raises :class:`NoAsyncLibrary`."""
    try:
        library = sniffio.current_async_library()
    except sniffio.AsyncLibraryNotFoundError as error:
        raise NoAsyncLibrary("no asynchronous library runs here: call this from a task of asyncio or trio") from error
    if library == "asyncio":
        return AsyncioEffect()
    if library == "trio":
        from polysocket.trio import TrioEffect  # noqa: PLC0415 - it is there, since it runs

        return TrioEffect()
    raise NoAsyncLibrary(f"asyncio and trio are known here, and what runs is {library}")


class AnyioEffect(Direct):
    """The :class:`~polysocket.effect.Effect` that is asyncio's or trio's, call by call."""

    def event(self) -> Event:
        """That of the library that runs; so are all others."""
        return running_effect().event()

    def time_limit(self, seconds: float | None, /) -> AbstractAsyncContextManager[Any]:
        """Bound what is awaited inside."""
        return running_effect().time_limit(seconds)

    def interruptible(self) -> AbstractAsyncContextManager[Callable[[], None]]:
        """A block that can be ended from outside."""
        return running_effect().interruptible()

    def current_task(self) -> object:
        """The task that calls."""
        return running_effect().current_task()

    def is_cancellation(self, error: BaseException, /) -> bool:
        """What ends the task from outside; so does the collection of one that was left behind, where nothing runs."""
        return isinstance(error, GeneratorExit) or running_effect().is_cancellation(error)

    def now(self) -> float:
        """The clock."""
        return running_effect().now()

    def spawn(self, program: Callable[[], Coroutine[Any, Any, None]], /) -> None:
        """Run the program in the background."""
        running_effect().spawn(program)

    async def connect_tcp(self, host: str, port: int, /) -> Link:
        """Connect to a host."""
        return await running_effect().connect_tcp(host, port)

    async def connect_unix(self, path: str, /) -> Link:
        """Connect to a Unix socket."""
        return await running_effect().connect_unix(path)

    async def adopt(self, sock: socket.socket, /) -> Link:
        """Use a connected socket."""
        return await running_effect().adopt(sock)


class AnyioBackend(Backend[Async]):
    """A backend on asyncio or trio.

    ``ssl`` is for its wss URLs, ``proxy`` leads to the servers, ``request`` is what a URL begins with.
    """

    def __init__(
        self, *, ssl: SSLContext | None = None, proxy: ProxySetting = None, request: Request = basic_request
    ) -> None:
        super().__init__(SocketOpener(AnyioEffect(), Route(ssl, proxy=proxy), request))


class ObjectStream(anyio.abc.ObjectStream[str | bytes]):
    """A websocket as anyio's stream of messages, which owns it: ``str`` is a text message, ``bytes`` a binary one.

    Each error is anyio's, with polysocket's as its ``__cause__``. ``websocket`` is the websocket itself.
    """

    def __init__(self, websocket: WebSocket[Async]) -> None:
        self.websocket = websocket
        self._is_closed = False
        self._has_sent_end = False

    async def receive(self) -> str | bytes:
        """Receive a whole message; a cancellation loses none.

        Raises ``EndOfStream`` once the other side has closed normally (1000, 1001, no code), ``BrokenResourceError``
        where the websocket has ended otherwise, ``ClosedResourceError`` after :meth:`aclose`, and
        ``BusyResourceError`` while another task receives.
        """
        await anyio.lowlevel.checkpoint()
        self._check(self._is_closed)
        try:
            return await self.websocket.receive_message()
        except ConcurrentReceive as error:
            raise anyio.BusyResourceError("receiving from") from error
        except WebSocketClosed as error:
            self._check(self._is_closed, error)
            if error.close_info.is_normal:
                raise anyio.EndOfStream from error
            raise anyio.BrokenResourceError(str(error)) from error

    async def send(self, item: str | bytes) -> None:
        """Send a message; a cancelled send has sent the whole of it or nothing. Many tasks may send.

        Raises ``BrokenResourceError`` where the websocket has ended, ``ClosedResourceError`` after :meth:`send_eof` and
        :meth:`aclose`.
        """
        await anyio.lowlevel.checkpoint()
        self._check(self._has_sent_end)
        try:
            await self.websocket.send(Text(item) if isinstance(item, str) else Binary(item))
        except WebSocketClosed as error:
            self._check(self._has_sent_end, error)
            raise anyio.BrokenResourceError(str(error)) from error

    async def send_eof(self) -> None:
        """Send a Close: nothing more can be sent, and what the other side still sends can be received.

        May be called more than once. Raises ``ClosedResourceError`` after :meth:`aclose`.
        """
        await anyio.lowlevel.checkpoint()
        self._check(self._is_closed)
        self._has_sent_end = True
        if self.websocket.is_open:
            with contextlib.suppress(WebSocketClosed):  # The other side was faster.
                await self.websocket.send(Close())

    async def aclose(self) -> None:
        """Close the websocket; where that is cancelled, its connection is ended as it is."""
        self._is_closed = self._has_sent_end = True
        await self.websocket.close()

    def _check(self, is_closed: bool, cause: WebSocketClosed | None = None) -> None:
        if is_closed:
            raise anyio.ClosedResourceError from cause
