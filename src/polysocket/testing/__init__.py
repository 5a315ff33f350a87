"""What users' own tests are made of: stubs, recordings, a pair in memory, an echo server.

Needs nothing but polysocket. Hypothesis strategies are in :mod:`polysocket.testing.strategies`; the fixtures for pytest
are in ``pytest_polysocket``, which pytest finds by itself.
"""

from polysocket.testing.backend import BackendStub, StubFactory, When
from polysocket.testing.clock import VirtualClock, VirtualEffect
from polysocket.testing.echo import EchoServer
from polysocket.testing.errors import NothingPrepared, ReplayMismatch, StubError, UnmatchedRequest
from polysocket.testing.inside import SessionView, inside
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
    "SessionView",
    "StubError",
    "StubFactory",
    "UnmatchedRequest",
    "VirtualClock",
    "VirtualEffect",
    "WebSocketStub",
    "When",
    "inside",
    "memory_links",
    "memory_pair",
]
