"""Connections over a flavour's effect, and the answers of a peer, for the tests of ``reconnect``."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator
from typing import Any, Unpack
from unittest import mock

from polysocket import (
    Async,
    Backoff,
    ConnectOptions,
    Request,
    WebSocket,
    is_final,
)
from polysocket.connections import CoroutineConnections
from polysocket.testing import VirtualClock, VirtualEffect
from polysocket.testing.contract import wire
from polysocket.testing.contract.flavour import Flavour
from polysocket.testing.contract.places import (
    Answer,
    Peer,
    Target,
    answering,
    upgrading,
)
from polysocket.websocket import CoroutineWebSocket

__all__ = ["AT_ONCE", "LATER", "closing", "left", "longest_delays", "reconnect", "staying", "take", "take_all"]

AT_ONCE = Backoff(initial=0)
LATER = answering("503 Service Unavailable", "Retry-After: 3600")


def reconnect(
    flavour: Flavour,
    target: Target,
    url: str | Request | None = None,
    *,
    clock: VirtualClock | None = None,
    policy: Backoff = AT_ONCE,
    is_final: Callable[[Exception], bool] = is_final,
    on_open: Callable[[CoroutineWebSocket], Awaitable[object]] | None = None,
    **options: Unpack[ConnectOptions],
) -> CoroutineConnections:
    """Reconnect to a server of the test, over the flavour's effect; the delays pass on the clock, if there is one."""
    effect = flavour.effect() if clock is None else VirtualEffect(flavour.effect(), clock)
    settings: ConnectOptions = {**target.options(), **options}
    return CoroutineConnections(
        CoroutineWebSocket, effect, url or target.url, settings, policy=policy, is_final=is_final, on_open=on_open
    )


def closing(code: int | None, *texts: str) -> Answer:
    """Return an answer that accepts, sends messages, and closes with a code, or with none."""
    close = wire.encode(wire.CLOSE) if code is None else wire.close(code)
    return upgrading(trailing=b"".join(map(wire.text, texts)) + close)


def staying(*texts: str) -> Answer:
    """Return an answer that accepts and sends messages."""
    return upgrading(trailing=b"".join(map(wire.text, texts)))


@contextlib.contextmanager
def longest_delays() -> Generator[None]:
    """Take the longest delay that the jitter may choose."""

    def uniform(_: float, longest: float) -> float:
        return longest

    with mock.patch("random.uniform", uniform):
        yield


@contextlib.asynccontextmanager
async def left(connections: CoroutineConnections, peer: Peer) -> AsyncGenerator[CoroutineConnections]:
    """Enter connections. At the end of the block the peer hangs up first, so that closing does not wait."""
    async with connections:
        yield connections
        peer.hang_up()


async def take(items: AsyncIterator[Any], count: int) -> list[Any]:
    """Return the next items."""
    return [await anext(items) for _ in range(count)]


async def take_all(connections: CoroutineConnections) -> list[WebSocket[Async]]:
    """Iterate to the end."""
    return [ws async for ws in connections]
