"""What users' own tests are made of: stubs, recordings, a pair in memory, an echo server.

Needs nothing but polysocket. Hypothesis strategies are in :mod:`polysocket.testing.strategies`, fixtures for pytest in
:mod:`polysocket.testing.pytest_plugin`.
"""

from polysocket.testing.backend import BackendStub, When
from polysocket.testing.clock import VirtualClock, VirtualEffect
from polysocket.testing.echo import EchoServer
from polysocket.testing.errors import NothingPrepared, ReplayMismatch, StubError, UnmatchedRequest
from polysocket.testing.memory import Faults, MemoryPair, memory_links, memory_pair
from polysocket.testing.recorder import RecordingBackend
from polysocket.testing.recording import Recorded, Recording
from polysocket.testing.stub import Incoming, WebSocketStub

__all__ = [
    "BackendStub",
    "EchoServer",
    "Faults",
    "Incoming",
    "MemoryPair",
    "NothingPrepared",
    "Recorded",
    "Recording",
    "RecordingBackend",
    "ReplayMismatch",
    "StubError",
    "UnmatchedRequest",
    "VirtualClock",
    "VirtualEffect",
    "WebSocketStub",
    "When",
    "memory_links",
    "memory_pair",
]
