"""A pair in memory as a test's body sees it, and calls that wait for its clock."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from typing import Any, NamedTuple, cast

from polysocket import Async, WebSocket
from polysocket.testing import MemoryPair, VirtualClock, memory_pair
from tests.backends.flavours import Flavour, seen


class Joined(NamedTuple):
    """Both sides, whose methods are awaited in every flavour; and the pair, whose methods give what is in ``F``."""

    client: WebSocket[Async]
    server: WebSocket[Async]
    pair: MemoryPair[Any]


@contextlib.asynccontextmanager
async def joined(flavour: Flavour, tag: type[Any], **options: Any) -> AsyncIterator[Joined]:
    """A pair inside its ``with``, or ``async with``."""
    pair: MemoryPair[Any] = memory_pair(tag, **options)
    async with flavour.entered(cast("Any", pair)):
        yield Joined(seen(flavour, pair.client), seen(flavour, pair.server), pair)


async def after(seconds: float, clock: VirtualClock, flavour: Flavour, call: Callable[[], Any]) -> Any:
    """What a call in ``F`` gives that has to wait until so many seconds have passed, which do so while it waits."""
    given = call()
    if not flavour.is_async:
        if isinstance(given, Future):
            clock.advance(seconds)
        return await flavour.value(given)
    task = flavour.spawn(lambda: given)
    await flavour.nothing_left_to_do()
    clock.advance(seconds)
    return await task.result()
