"""``reconnect``: websockets to one server, one after the other, each opened when the one before has ended."""

from __future__ import annotations

import inspect
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast, overload

from polysocket._core import close_codes
from polysocket._lifting import HasWith, lifted
from polysocket._opening.options import ConnectOptions, prepare
from polysocket._opening.reconnecting import Reconnector
from polysocket._session.async_for import AsyncForIterator
from polysocket.backoff import Backoff, Gap
from polysocket.effects import Async, Blocking, CoroutineEffect, Effect, Lifter
from polysocket.errors import InvalidRequest
from polysocket.redaction import redact_query
from polysocket.request import Request
from polysocket.websocket import CoroutineWebSocket, WebSocket, open_logged_session

if TYPE_CHECKING:
    from polysocket._session.session import Session

__all__ = ["Connections", "CoroutineConnections"]

T = TypeVar("T")
F_co = TypeVar("F_co", covariant=True)
W_co = TypeVar("W_co", bound=WebSocket[Any], covariant=True)


class Connections(HasWith[F_co], Generic[F_co, W_co]):
    """The websockets that ``reconnect`` opens, one after the other. The end of its ``with`` closes the open one.

    Iterating over it (``for``, ``async for``) yields each websocket once it is open. The next step of the loop closes
    that websocket if it is still open, and opens the next one. :meth:`messages` yields messages instead.

    A loop ends after :meth:`close`, and raises the last error if no attempt may follow. One task or thread at a time
    may iterate. Without ``with``, a loop that is left drops the connection when Python frees this object: a Close with
    1001 is sent, and not waited for.
    """

    def __init__(
        self,
        kind: type[W_co],
        effect: Effect,
        target: str | Request,
        options: ConnectOptions,
        *,
        policy: Backoff,
        is_final: Callable[[Exception], bool],
        on_open: Callable[[W_co], object] | None,
    ) -> None:
        if not hasattr(type(self), "_effect"):
            self._effect = effect
        if not isinstance(policy, Backoff):
            raise InvalidRequest(f"policy is a Backoff, not {policy!r}")
        for name, function in (("is_final", is_final), ("on_open", on_open)):
            if not callable(function) and not (name == "on_open" and function is None):
                raise InvalidRequest(f"{name} is a function, not {function!r}")
        if inspect.iscoroutinefunction(is_final):
            raise TypeError(f"is_final is a plain function in every flavour, not {is_final!r}")
        request, transport = prepare(target, options, "reconnect")
        if transport.sock is not None:
            raise InvalidRequest("sock is one connection, and reconnect() opens many: use connect() for it")
        url = "" if request.url is None else redact_query(request.url.with_query)
        self._shown = f"{effect.name}.Connections {url}"
        self._reconnector: Reconnector[W_co] = Reconnector(
            effect,
            partial(open_logged_session, effect, request, transport),
            partial(_websocket, kind, self._effect),
            None if on_open is None else partial(_prepare, self._effect, on_open),
            policy=policy,
            is_final=partial(_judge, is_final),
            buffer=options.get("buffer"),
            renews_auth=request.auth is not None,
            logger=transport.logger,
        )

    @property
    def websocket(self) -> W_co | None:
        """The websocket that is open, for sending from anywhere; None before the first one and between two."""
        return self._reconnector.websocket

    @lifted
    async def close(self) -> None:
        """Close the websocket that is open, and open no more. Loops over this object end.

        A loop over :meth:`messages` ends after the messages that arrive before the peer's Close.

        May be called more than once, and from another task or thread. A caller that waits for the next attempt wakes at
        once, and one that waits for an opening too; but in the blocking flavour, an opening goes on to its end.

        Cancellation:
            The connection is dropped if the call is cancelled, or if closing takes more than ``close_timeout`` seconds.
        """
        await self._reconnector.close(close_codes.BLOCK_ENDED)

    @overload
    def messages(self: Connections[Blocking, Any]) -> Iterator[str | bytes | Gap]: ...
    @overload
    def messages(self: Connections[Async, Any]) -> AsyncIterator[str | bytes | Gap]: ...
    def messages(self) -> Iterator[str | bytes | Gap] | AsyncIterator[str | bytes | Gap]:
        """Iterate over the messages of all websockets: ``str`` for text, ``bytes`` for binary.

        When a websocket is open again after another one has ended, a :class:`Gap` comes before its first message. A
        loop that was left can be continued with another call: no message is lost.
        """
        step: Callable[[], Any] = cast("Any", self)._next_message
        return _AsyncEach(step) if self._effect.is_async else _Each(step)

    def __iter__(self: Connections[Blocking, W_co]) -> Iterator[W_co]:
        self._refuse("for", if_async=True)
        return _Each(self._next_websocket)

    def __aiter__(self: Connections[Async, W_co]) -> AsyncIterator[W_co]:
        self._refuse("async for", if_async=False)
        return _AsyncEach(self._next_websocket)

    @lifted
    async def _next_websocket(self) -> W_co | None:
        return await self._reconnector.next_websocket()

    @lifted
    async def _next_message(self) -> str | bytes | Gap | None:
        return await self._reconnector.next_message()

    @lifted
    async def _close_after(self, error: BaseException | None, /) -> None:
        await self._reconnector.close_after(error)

    def __repr__(self) -> str:
        return f"<{self._shown} {self._reconnector.state}>"

    def __del__(self) -> None:
        # __init__ may have raised. In a forked process, the connection is the parent's to end.
        if hasattr(self, "_reconnector") and self._reconnector.process == os.getpid():
            self._reconnector.abort()


class CoroutineConnections(Connections[Async, CoroutineWebSocket], effect=CoroutineEffect()):
    """Connections as programs use them, whatever the flavour."""


class _Each(Iterator[T]):
    """The iterator over the results of steps, up to None, for the blocking flavour.

    It is no generator, so that an exception of a signal handler ends only the current step.
    """

    def __init__(self, step: Callable[[], T | None]) -> None:
        self._step = step

    def __next__(self) -> T:
        if (result := self._step()) is None:
            raise StopIteration
        return result


class _AsyncEach(AsyncForIterator[T]):
    """The iterator over the results of steps, up to None, for asynchronous flavours.

    It is no async generator, so that a cancellation ends only the current step.
    """

    def __init__(self, step: Callable[[], Awaitable[T | None]]) -> None:
        self._step = step

    async def __anext__(self) -> T:
        if (result := await self._step()) is None:
            raise StopAsyncIteration
        return result


def _websocket(kind: type[W_co], effect: Lifter, session: Session) -> W_co:
    return kind(session, effect)


def _judge(is_final: Callable[[Exception], object], error: Exception) -> bool:
    """Call ``is_final``. An awaitable is true, so every error would be final: refuse it."""
    result = is_final(error)
    if inspect.isawaitable(result):
        if isinstance(result, Coroutine):
            result.close()
        raise TypeError(f"is_final is a plain function in every flavour; its call returned {result!r}")
    return bool(result)


async def _prepare(effect: Lifter, on_open: Callable[[Any], object], websocket: WebSocket[Any]) -> None:
    """Call ``on_open``, and wait for its result in the flavour's ``F``."""
    result = on_open(websocket)
    if inspect.isawaitable(result) is not effect.is_async:
        if isinstance(result, Coroutine):
            result.close()
        kind = "an async function" if effect.is_async else "a plain function"
        raise TypeError(f"on_open is {kind} in this flavour, or a polymorphic program; its call returned {result!r}")
    await effect.unlift(result)
