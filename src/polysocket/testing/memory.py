"""Two ends of a connection without a network: streams in memory, and a client and a server websocket joined by them.

Written over :class:`~polysocket.effects.Effect` alone, so they are the same in every flavour. What a network does wrong
is a value, :class:`Faults`, one for each direction; its delays go by the effect's clock, which may be a virtual one.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, NamedTuple, TypeVar, overload

from wsproto import ConnectionType

from polysocket._lifting import wait_for_result
from polysocket._opening.opening_handshake import session_of
from polysocket._session.session import Session
from polysocket.effects import Async, Blocking, ByteStream, Effect, Event, Threaded
from polysocket.errors import UpgradeRejected
from polysocket.request import Request, basic_request
from polysocket.response import Response
from polysocket.testing.clock import VirtualClock, VirtualEffect
from polysocket.testing.flavours import effect_of
from polysocket.testing.handshake import plain_request, shake_hands
from polysocket.websocket import WebSocket

__all__ = ["Faults", "MemoryPair", "MemoryStream", "Wire", "memory_links", "memory_pair"]

F = TypeVar("F")
A = TypeVar("A", bound=Async)


@dataclass(frozen=True, slots=True)
class Faults:
    """What happens to the bytes of one direction; by default nothing.

    ``cut_after`` so many bytes the connection breaks, in both directions. ``pieces`` are the sizes in which bytes
    arrive, again and again: ``(1,)`` is one by one. ``delay`` is in seconds. ``room`` is how many unread bytes the
    network takes before whoever sends waits; None for as many as come.
    """

    cut_after: int | None = None
    pieces: tuple[int, ...] = ()
    delay: float = 0
    room: int | None = None

    def __post_init__(self) -> None:
        if any(size < 1 for size in self.pieces):
            raise ValueError(f"a piece has at least 1 byte, which not all of {self.pieces!r} have")
        for name in ("cut_after", "delay", "room"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise ValueError(f"{name} must be at least 0, not {value!r}")


faultless: Faults = Faults()


class _Arrival(NamedTuple):
    """Bytes, or the end of the stream, and the time from which on they can be read; None is at once."""

    time: float | None
    content: bytes | OSError


class Wire:
    """One direction: written at one end, read at the other; threads may do so at the same time."""

    def __init__(self, effect: Effect, faults: Faults = faultless) -> None:
        self._effect = effect
        self._faults = faults
        self._sizes = itertools.cycle(faults.pieces)
        self._lock = threading.Lock()
        self._arrivals: deque[_Arrival] = deque()
        self._written = 0
        self._unread = 0
        self._is_ended = False
        self._is_abandoned = False  # by its reader
        self._reader: Event | None = None
        self._writers: list[Event] = []

    @property
    def is_cut(self) -> bool:
        """Whether it was cut as its faults say."""
        return self._faults.cut_after is not None and self._written >= self._faults.cut_after

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to read."""
        return not self._arrivals

    @property
    def has_idle_reader(self) -> bool:
        """Whether a reader waits, and has nothing to read."""
        return self._reader is not None and self.is_empty

    @property
    def excess(self) -> int:
        """How many unread bytes there are for which there is no room."""
        return 0 if self._faults.room is None else max(self._unread - self._faults.room, 0)

    def write(self, data: bytes) -> None:
        """Send all of it, as far as the faults let it through; raises OSError where the connection is broken."""
        with self._lock:
            if self._is_ended or self._is_abandoned:
                raise BrokenPipeError("the connection was ended")
            if self._faults.cut_after is not None:
                data = data[: self._faults.cut_after - self._written]
            self._written += len(data)
            self._unread += len(data)
            position = 0
            while position < len(data):
                size = next(self._sizes, len(data))
                self._put(data[position : position + size])
                position += size
        if self.is_cut:
            self.end(ConnectionResetError(f"the connection was cut after {self._written} bytes"))

    def end(self, error: OSError | None = None) -> None:
        """Let the reader find the end of the stream, or an error, behind what was sent."""
        with self._lock:
            if not self._is_ended:
                self._is_ended = True
                self._put(b"" if error is None else error)

    def abandon(self) -> None:
        """End it at the reader's side: nothing more can be read, or written."""
        with self._lock:
            self._is_abandoned = True
            self._wake()

    async def read(self) -> bytes:
        """Wait for bytes; ``b""`` at the end. Raises OSError. A cancellation, or a passed time limit, loses nothing."""
        while True:
            with self._lock:
                left = self._seconds_left()
                self._reader = reader = self._effect.event()
                if not left:
                    reader.set()  # It is awaited all the same: in trio, reading is a checkpoint.
            with contextlib.suppress(TimeoutError):
                async with self._effect.time_limit(None if left in (0, math.inf) else left):
                    await reader.wait()
            with self._lock:
                if not self._seconds_left():
                    self._reader = None
                    return self._take()

    async def drain(self) -> None:
        """Wait until there is room. Raises OSError where the connection is broken."""
        while True:
            with self._lock:
                if not self.excess:
                    return
                if self._is_ended or self._is_abandoned:
                    raise BrokenPipeError("the connection was ended")
                writer = self._effect.event()
                self._writers.append(writer)
            await writer.wait()

    def _put(self, content: bytes | OSError) -> None:
        delay = self._faults.delay
        self._arrivals.append(_Arrival(self._effect.now() + delay if delay else None, content))
        self._wake()

    def _wake(self) -> None:
        if self._reader is not None:
            self._reader.set()
        for writer in self._writers:
            writer.set()
        self._writers.clear()

    def _seconds_left(self) -> float:
        """How long the reader must wait: 0 where it need not, infinity where nothing was sent."""
        if self._is_abandoned:
            return 0
        if not self._arrivals:
            return math.inf
        time = self._arrivals[0].time
        return 0 if time is None else max(time - self._effect.now(), 0)

    def _take(self) -> bytes:
        if self._is_abandoned:
            return b""
        pieces: list[bytes] = []
        while self._arrivals and not self._seconds_left():
            content = self._arrivals[0].content
            if not content or isinstance(content, OSError):
                break  # The end stays, for whoever reads again.
            pieces.append(content)
            self._arrivals.popleft()
            if self._faults.pieces:
                break
        if pieces:
            self._unread -= sum(map(len, pieces))
            self._wake()
            return b"".join(pieces)
        end = self._arrivals[0].content
        if isinstance(end, OSError):
            raise end
        return end


class MemoryStream:
    """A :class:`~polysocket.effects.ByteStream` of two wires."""

    def __init__(self, incoming: Wire, outgoing: Wire) -> None:
        self._incoming = incoming
        self._outgoing = outgoing

    @property
    def pending(self) -> int:
        """Bytes for which the network has no room."""
        return self._outgoing.excess

    async def read(self) -> bytes:
        """Wait for bytes."""
        return await self._incoming.read()

    def write(self, data: bytes) -> None:
        """Send the bytes; where that cuts the wire, nothing comes from the other side either."""
        self._outgoing.write(data)
        if self._outgoing.is_cut:
            self._incoming.end(ConnectionResetError("the connection was cut"))

    async def drain(self) -> None:
        """Wait until there is room."""
        await self._outgoing.drain()

    async def close(self) -> None:
        """Wait until there is room, then end both wires."""
        await self.drain()
        self.abort()

    def abort(self) -> None:
        """End both wires; what was sent still arrives."""
        self._outgoing.end()
        self._incoming.abandon()


def memory_links(
    effect: Effect, to_server: Faults = faultless, to_client: Faults = faultless
) -> tuple[ByteStream, ByteStream]:
    """Two streams that are joined: the client's, and the server's."""
    upstream, downstream = Wire(effect, to_server), Wire(effect, to_client)
    return MemoryStream(downstream, upstream), MemoryStream(upstream, downstream)


class MemoryPair(Generic[F]):
    """A ``client`` and a ``server`` that are joined; can be unpacked to both.

    At the end of its ``with`` (``async with``) both are ended at once, without a closing handshake: what a test is to
    see of that, it does inside.
    """

    def __init__(self, effect: Effect, client: Session, server: Session) -> None:
        self.client: WebSocket[F] = WebSocket(client, effect)
        self.server: WebSocket[F] = WebSocket(server, effect)
        self._leave = effect.lift(_leaving(client, server))

    def __iter__(self) -> Iterator[WebSocket[F]]:
        yield self.client
        yield self.server

    @overload
    def __enter__(self: MemoryPair[Blocking]) -> MemoryPair[Blocking]: ...
    @overload
    def __enter__(self: MemoryPair[Threaded]) -> MemoryPair[Threaded]: ...
    def __enter__(self) -> Any:
        return self

    def __exit__(
        self: MemoryPair[Blocking] | MemoryPair[Threaded],
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        wait_for_result(self._leave())

    async def __aenter__(self: MemoryPair[A]) -> MemoryPair[A]:
        return self

    async def __aexit__(
        self: MemoryPair[A], kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self._leave()


def _leaving(*sessions: Session) -> Callable[[], Coroutine[Any, Any, None]]:
    async def leave() -> None:
        for session in sessions:
            session.abort()
        for session in sessions:
            await session.close()  # It waits for whoever reads ahead.

    return leave


def memory_pair(
    flavour: type[F],
    *,
    to_server: Faults = faultless,
    to_client: Faults = faultless,
    clock: VirtualClock | None = None,
    request: Request = plain_request,
    limits: Request = basic_request,
    effect: Effect | None = None,
) -> MemoryPair[F]:
    """Join a client and a server in memory, behind their opening handshake, which suffers no faults.

    ``flavour`` is ``Blocking``, ``Threaded``, ``Asyncio``, ``Trio`` or, for anyio, ``Async``; for one of your own give
    its ``effect`` too.
    With a ``clock``, delays and all time limits go by it. ``request`` is the client's, ``limits`` are the server's, as
    for :class:`EchoServer`. The two are open at once, also in an asynchronous flavour. In the blocking one a side that
    waits for the other (to receive, to close) needs that in another thread.

    Raises :class:`UpgradeRejected`, :class:`InvalidUpgrade`, :class:`InvalidRequest` where the two don't fit.
    """
    waiting = effect or effect_of(flavour)
    if clock is not None:
        waiting = VirtualEffect(waiting, clock)
    agreed = shake_hands(request, lambda asked, server: server.accept(asked.first_of(limits.subprotocols)), limits)
    if isinstance(agreed, Response):
        raise UpgradeRejected(agreed)
    client, server = memory_links(waiting, to_server, to_client)
    return MemoryPair(
        waiting,
        session_of(waiting, client, ConnectionType.CLIENT, agreed.client, request),
        session_of(waiting, server, ConnectionType.SERVER, agreed.server, limits),
    )
