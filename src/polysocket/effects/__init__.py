"""The effect ``F``: the interface for authors of flavours, and one module per runtime."""

from polysocket.effects.interface import (
    Async,
    Asyncio,
    Blocking,
    ByteStream,
    CoroutineEffect,
    Effect,
    Event,
    HasEffect,
    HasWith,
    Lifter,
    Threaded,
    Trio,
    foreign_await,
    lifted,
    run,
    settled,
)

__all__ = [
    "Async",
    "Asyncio",
    "Blocking",
    "ByteStream",
    "CoroutineEffect",
    "Effect",
    "Event",
    "HasEffect",
    "HasWith",
    "Lifter",
    "Threaded",
    "Trio",
    "foreign_await",
    "lifted",
    "run",
    "settled",
]
