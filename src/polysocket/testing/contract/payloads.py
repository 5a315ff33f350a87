"""Payloads in any object with the buffer protocol: what is sent is a snapshot, counted in bytes."""

from __future__ import annotations

import array
import ctypes
import mmap
from collections.abc import Callable
from typing import Any, Final

import pytest

from polysocket import (
    Binary,
    Close,
    Frame,
    InvalidFrame,
    Observation,
    ObservedBackend,
    Ping,
    Pong,
    Request,
    WebSocketHandler,
    basic_request,
)
from polysocket.observers.observation import payload_size
from polysocket.testing import RecordingBackend
from polysocket.testing.contract import wire
from polysocket.testing.contract.flavour import Flavour, connected, promise
from polysocket.testing.contract.places import Peer
from polysocket.testing.contract.wire import Wire

BYTES: Final = bytes(range(16))


def _mapped() -> mmap.mmap:
    mapped = mmap.mmap(-1, len(BYTES))
    mapped[:] = BYTES
    return mapped


class _Subclass(bytes):
    """Bytes that claim to be others."""

    def __bytes__(self) -> bytes:
        return b"other"


BUFFERS: Final[dict[str, tuple[Callable[[], Any], bytes]]] = {
    "bytes": (lambda: BYTES, BYTES),
    "subclass of bytes": (lambda: _Subclass(BYTES), BYTES),
    "bytearray": (lambda: bytearray(BYTES), BYTES),
    "view": (lambda: memoryview(bytearray(BYTES)), BYTES),
    "items of 4 bytes": (lambda: memoryview(bytearray(BYTES)).cast("I"), BYTES),
    "two dimensions": (lambda: memoryview(bytearray(BYTES)).cast("H", (2, 4)), BYTES),
    "no dimension": (lambda: memoryview(bytearray(8)).cast("d", ()), bytes(8)),
    "gaps": (lambda: memoryview(bytearray(BYTES))[::2], BYTES[::2]),
    "gaps between items of 4 bytes": (lambda: memoryview(bytearray(BYTES)).cast("I")[::2], BYTES[:4] + BYTES[8:12]),
    "backwards": (lambda: memoryview(bytearray(BYTES))[::-1], BYTES[::-1]),
    "array": (lambda: array.array("d", [1.0, 2.0]), array.array("d", [1.0, 2.0]).tobytes()),
    "ctypes": (lambda: (ctypes.c_uint16 * 2)(1, 2), bytes((ctypes.c_uint16 * 2)(1, 2))),
    "mmap": (_mapped, BYTES),
    "empty": (bytearray, b""),
}
every_buffer: Final = pytest.mark.parametrize(("make", "sent"), BUFFERS.values(), ids=BUFFERS)

MUTABLE: Final[dict[str, Callable[[], Any]]] = {
    "bytearray": lambda: bytearray(BYTES),
    "view": lambda: memoryview(bytearray(BYTES)),
    "items of 4 bytes": lambda: memoryview(bytearray(BYTES)).cast("I"),
    "array": lambda: array.array("B", BYTES),
    "mmap": _mapped,
}
every_mutable: Final = pytest.mark.parametrize("make", MUTABLE.values(), ids=MUTABLE)


def _released() -> memoryview:
    view = memoryview(bytearray(BYTES))
    view.release()
    return view


def _closed() -> mmap.mmap:
    mapped = _mapped()
    mapped.close()
    return mapped


def _overwrite(buffer: Any) -> None:
    with memoryview(buffer) as view, view.cast("B") as items:
        items[:] = bytes(len(items))


class _Sent(Observation):
    """An observer, and its own observation, that keeps the frames that were sent."""

    def __init__(self) -> None:
        self.frames: list[Frame | Close] = []

    def opening(self, _request: Request, /) -> Observation:
        return self

    def sent(self, frame: Frame | Close, /) -> None:
        self.frames.append(frame)


@every_buffer
@promise
async def test_each_buffer_is_sent_as_its_bytes(
    flavour: Flavour, peer: Peer, make: Callable[[], Any], sent: bytes
) -> None:
    async with connected(flavour, peer) as ws:
        await ws.send_binary(make())
        await ws.send(Binary(make(), final=False))
        await ws.send(Binary(make()), is_continuation=True)
        await ws.send(Ping(make()))
        await ws.pong(make())
        frames = await flavour.call(peer.frames, 5)
        assert [frame.payload for frame in frames] == [sent] * 5


@promise
async def test_a_buffer_that_can_not_be_read_is_refused_and_changes_nothing(flavour: Flavour, peer: Peer) -> None:
    async with connected(flavour, peer) as ws:
        for buffer in (_released(), _closed()):
            for send in (ws.send_binary, ws.pong, ws.ping):
                with pytest.raises(InvalidFrame, match="payload can't be read"):
                    await send(buffer)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        await ws.send_text("next")
        assert await flavour.call(peer.frame) == Wire(wire.TEXT, b"next")


@every_mutable
@promise
async def test_a_pong_matches_a_ping_whose_buffer_was_used_again(
    flavour: Flavour, peer: Peer, make: Callable[[], Any]
) -> None:
    async with connected(flavour, peer) as ws:
        buffer = make()
        pinging = flavour.spawn(ws.ping, buffer)
        assert await flavour.call(peer.frame) == Wire(wire.PING, BYTES)
        _overwrite(buffer)
        peer.send(wire.encode(wire.PONG, BYTES))
        assert await pinging.result() >= 0


@every_mutable
@promise
async def test_a_send_that_waits_sends_its_buffer_as_it_was(
    flavour: Flavour, slow_peer: Peer, make: Callable[[], Any]
) -> None:
    huge = bytes(6 * 1024 * 1024)  # more than the system buffers on loopback
    async with connected(flavour, slow_peer) as ws:
        first = flavour.spawn(ws.send_binary, huge)
        await first.waiting()
        buffer = make()
        second = flavour.spawn(ws.send_binary, buffer)
        await second.waiting()
        _overwrite(buffer)
        assert await flavour.call(slow_peer.frame) == Wire(wire.BINARY, huge)
        assert await flavour.call(slow_peer.frame) == Wire(wire.BINARY, BYTES)
        await first.result()
        await second.result()


@every_mutable
@promise
async def test_observers_and_recordings_keep_what_was_sent(
    flavour: Flavour, peer: Peer, make: Callable[[], Any]
) -> None:
    observer = _Sent()
    request = basic_request.timeouts(close=5)
    recorder = RecordingBackend(ObservedBackend(flavour.backend(request=request), observer))
    effect = flavour.effect()
    response = await effect.unlift(recorder.open_websocket(request.get(peer.url), WebSocketHandler()))
    ws = await flavour.seen(response.result)
    buffers = [make() for _ in range(3)]
    await ws.send_binary(buffers[0])
    await ws.send(Ping(buffers[1]))
    await ws.pong(buffers[2])
    for buffer in buffers:
        _overwrite(buffer)
    sent = [Binary(BYTES), Ping(BYTES), Pong(BYTES)]
    assert observer.frames == sent
    assert [each.frame for each in recorder.recordings[0].frames] == sent
    assert all(type(frame.payload) is bytes for frame in observer.frames if not isinstance(frame, Close))
    assert [payload_size(frame) for frame in observer.frames] == [len(BYTES)] * 3
    peer.hang_up()
    await ws.close()
    await effect.unlift(recorder.close())


def test_a_frame_is_counted_in_bytes() -> None:
    """An observer may count frames of its own, too."""
    view = memoryview(bytearray(BYTES)).cast("I")
    assert payload_size(Binary(view)) == 16  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
