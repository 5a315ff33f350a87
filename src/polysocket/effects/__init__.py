"""The effect ``F``: the interface for authors of flavours, and one module per runtime."""

from polysocket.effects.interface import (
    Async,
    Asyncio,
    Blocking,
    ByteStream,
    CoroutineEffect,
    Effect,
    Event,
    Lifter,
    Threaded,
    Trio,
    foreign_await,
    run,
)

__all__ = [
    "Async",
    "Asyncio",
    "Blocking",
    "ByteStream",
    "CoroutineEffect",
    "Effect",
    "Event",
    "Lifter",
    "Threaded",
    "Trio",
    "foreign_await",
    "run",
]
