"""Tools for users' own tests: stubs, recordings, a pair in memory, an echo server.

They need no other package. Hypothesis strategies are in :mod:`polysocket.testing.strategies`. The fixtures for pytest
are in ``pytest_polysocket``, a plugin that pytest loads automatically.
"""

from polysocket.testing.backend_stub import BackendStub, StubFactory, When
from polysocket.testing.clock import VirtualClock, VirtualEffect
from polysocket.testing.echo import EchoServer
from polysocket.testing.errors import NothingPrepared, ReplayMismatch, StubError, UnmatchedRequest
from polysocket.testing.memory import Faults, memory_streams
from polysocket.testing.pair import MemoryPair, memory_pair
from polysocket.testing.recording import Recorded, Recording
from polysocket.testing.recording_backend import RecordingBackend
from polysocket.testing.stub_peer import Incoming
from polysocket.testing.view import SessionView, inside
from polysocket.testing.websocket_stub import WebSocketStub

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
    "memory_pair",
    "memory_streams",
]
