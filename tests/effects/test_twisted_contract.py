"""The documentation's flavour for Twisted keeps the whole contract."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextvars import Context
from typing import Any, Generic, TypeVar, Unpack

import pytest

pytest.importorskip("twisted")

from twisted.internet import reactor as twisted_reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.internet.threads import blockingCallFromThread, deferToThread

from docs.examples.twisted_effect import TwistedBackend, TwistedEffect, connect
from polysocket import Backend, ConnectOptions, Request, WebSocket
from polysocket.testing.contract import INTERRUPTED, TURNS, Body, Flavour, Interrupted
from polysocket.testing.contract.promises import *  # noqa: F403

T = TypeVar("T")

reactor: Any = twisted_reactor


def begun(program: Callable[..., Awaitable[T]], *args: Any) -> Deferred[T]:
    async def run() -> T:
        return await program(*args)

    deferred: Deferred[T] = TwistedEffect().lift(run)()
    return deferred


async def pass_turns(count: int) -> None:
    for _ in range(count):
        await deferLater(reactor, 0)


class TwistedTask(Generic[T]):
    """A program that runs beside the body."""

    def __init__(self, deferred: Deferred[T]) -> None:
        self._deferred = deferred

    async def result(self) -> T:
        return await self._deferred

    async def waiting(self) -> None:
        await pass_turns(TURNS)


class TwistedFlavour(Flavour):
    """Deferreds, in a reactor that runs in another thread."""

    def run(self, body: Body) -> None:
        async def to_the_end() -> None:
            await body()
            await pass_turns(3)  # the reactor closes aborted connections meanwhile

        def begin() -> Deferred[None]:
            return begun(to_the_end).addTimeout(10, reactor)

        wait: Callable[[Any, Callable[[], Deferred[None]]], None] = blockingCallFromThread
        wait(reactor, begin)

    async def connect(self, url_or_request: str | Request, **options: Unpack[ConnectOptions]) -> WebSocket[Any]:
        return await connect(url_or_request, **options)

    def backend(self, *, request: Request) -> Backend[Any]:
        return TwistedBackend(request=request)

    def spawn(self, program: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> TwistedTask[T]:
        return TwistedTask(Context().run(begun, program, *args))

    async def interrupt(self, program: Callable[[], Coroutine[Any, Any, T]], turns: int = TURNS) -> T | Interrupted:
        deferred = Context().run(begun, program)
        await pass_turns(turns)
        deferred.cancel()
        try:
            return await deferred
        except CancelledError:
            return INTERRUPTED

    def effect(self) -> TwistedEffect:
        return TwistedEffect()

    async def call(self, function: Callable[..., T], *args: Any) -> T:
        return await deferToThread(function, *args)


@pytest.fixture(scope="module", autouse=True)
def running_reactor() -> Iterator[None]:
    """The reactor in a thread, for all tests: a reactor can be started only once."""
    thread = threading.Thread(target=lambda: reactor.run(installSignalHandlers=False))
    thread.start()
    yield
    reactor.callFromThread(reactor.stop)
    thread.join()


@pytest.fixture
def flavour() -> Flavour:
    """The flavour under test."""
    return TwistedFlavour()
