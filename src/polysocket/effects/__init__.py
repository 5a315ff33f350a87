"""The interface for authors of flavours: all that a flavour of one's own is made of.

A flavour needs an :class:`Effect`, whose streams are :class:`ByteStream`. Its author may start from
:class:`CoroutineEffect` or :class:`EagerEffect`, or wrap another effect (:class:`DelegatingEffect`); a stream is a
:class:`PushStream` over a transport that calls back, a :class:`SendBuffer` over a plain socket, or wraps another stream
(:class:`DelegatingStream`). polysocket's own flavours are one module each: ``blocking``, ``threaded``, ``asyncio``,
``trio`` and ``anyio``.
"""

from polysocket.effects.deadlines import DeadlinePassed, TimeLimit, unlimited
from polysocket.effects.delegating import DelegatingEffect, DelegatingStream
from polysocket.effects.eager import EagerEffect, WaiterEvent
from polysocket.effects.happy_eyeballs import Address, Attempts, first_connected
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
from polysocket.effects.mutex import Mutex, NoMutex, ThreadMutex
from polysocket.effects.push_stream import PushStream
from polysocket.effects.send_buffer import SendBuffer, Watcher
from polysocket.effects.unacknowledged import unacknowledged_bytes

__all__ = [
    "Address",
    "Async",
    "Asyncio",
    "Attempts",
    "Blocking",
    "ByteStream",
    "CoroutineEffect",
    "DeadlinePassed",
    "DelegatingEffect",
    "DelegatingStream",
    "EagerEffect",
    "Effect",
    "Event",
    "Lifter",
    "Mutex",
    "NoMutex",
    "PushStream",
    "SendBuffer",
    "ThreadMutex",
    "Threaded",
    "TimeLimit",
    "Trio",
    "WaiterEvent",
    "Watcher",
    "first_connected",
    "foreign_await",
    "run",
    "unacknowledged_bytes",
    "unlimited",
]
