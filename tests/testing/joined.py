"""A pair in memory whose methods a test awaits in every flavour, and calls that wait for its clock."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from typing import Any, NamedTuple, cast

from polysocket import Async, WebSocket
from polysocket.testing import MemoryPair, VirtualClock, memory_pair
from tests.backends.flavours import Flavour, seen


class Joined(NamedTuple):
    """Both sides, whose methods are awaited in every flavour; and the pair itself, whose methods return ``F``."""

    client: WebSocket[Async]
    server: WebSocket[Async]
    pair: MemoryPair[Any]


@contextlib.asynccontextmanager
async def joined(flavour: Flavour, tag: type[Any], **options: Any) -> AsyncIterator[Joined]:
    """Make a pair, and enter its ``with`` or ``async with``."""
    pair: MemoryPair[Any] = memory_pair(tag, **options)
    async with flavour.entered(cast("Any", pair)):
        yield Joined(seen(flavour, pair.client), seen(flavour, pair.server), pair)


async def after(seconds: float, clock: VirtualClock, flavour: Flavour, call: Callable[[], Any]) -> Any:
    """Return the result of a call in ``F`` that waits for ``seconds``; let them pass on the clock meanwhile."""
    result = call()
    if not flavour.is_async:
        if isinstance(result, Future):
            clock.advance(seconds)
        return await flavour.value(result)
    task = flavour.spawn(lambda: result)
    await flavour.nothing_left_to_do()
    clock.advance(seconds)
    return await task.result()
