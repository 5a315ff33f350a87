"""A caller that waits while another one reads: it misses no frame that arrives just before it waits."""

from __future__ import annotations

import threading
from collections.abc import Callable

from polysocket import Blocking, Buffer, Frame, ObservedBackend, Request, Text, WebSocketHandler
from polysocket.backend import SocketBackend
from polysocket.close_info import CloseInfo
from polysocket.effects import ByteStream, DelegatingEffect, DelegatingStream, Event
from polysocket.effects.blocking import BlockingEffect
from polysocket.frames import Close
from polysocket.observers.observation import Observation
from polysocket.testing.contract import wire
from polysocket.testing.contract.places import Peer

PATIENCE = 10  # seconds until the test fails


class NotingStream(DelegatingStream):
    """A stream that notes that another thread than the test's reads."""

    def __init__(self, inner: ByteStream) -> None:
        super().__init__(inner)
        self.is_read_elsewhere = threading.Event()
        self._thread = threading.current_thread()

    async def read(self) -> bytes:
        if threading.current_thread() is not self._thread:
            self.is_read_elsewhere.set()
        return await self.inner.read()


class HookedEffect(DelegatingEffect):
    """A blocking effect that calls a function before the thread of the test makes its next event."""

    stream: NotingStream

    def __init__(self) -> None:
        super().__init__(BlockingEffect())
        self.before_event: Callable[[], object] | None = None
        self._thread = threading.current_thread()

    async def connect_tcp(self, host: str, port: int, local_address: tuple[str, int] | None = None, /) -> ByteStream:
        self.stream = NotingStream(await self.inner.connect_tcp(host, port, local_address))
        return self.stream

    def event(self) -> Event:
        if self.before_event is not None and threading.current_thread() is self._thread:
            before, self.before_event = self.before_event, None
            before()
        return super().event()


class Arrival(Observation):
    """An observation that notes the first received frame."""

    def __init__(self) -> None:
        self.has_received = threading.Event()

    def opening(self, request: Request, /) -> Observation:
        return self

    def received(self, frame: Frame | Close, /) -> None:
        self.has_received.set()

    def closed(self, info: CloseInfo, /) -> None:
        pass


def test_a_receive_takes_a_frame_that_fills_the_queue_just_before_it_waits(peer: Peer) -> None:
    effect, arrival = HookedEffect(), Arrival()

    class HookedBackend(SocketBackend[Blocking], effect=effect):
        """A blocking backend with the hook."""

    def deliver() -> None:
        peer.send(wire.text("a"))
        assert arrival.has_received.wait(PATIENCE)

    backend = ObservedBackend(HookedBackend(), arrival)
    ws = backend.open_websocket(peer.url, WebSocketHandler(Buffer.bounded(1, overflow="wait"))).result
    assert effect.stream.is_read_elsewhere.wait(PATIENCE)
    effect.before_event = deliver
    assert ws.receive(timeout=PATIENCE) == Text("a")
    assert effect.before_event is None
    peer.hang_up()
    backend.close()
