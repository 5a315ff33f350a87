"""The queue of received frames: its bounds, and the bytes that wait until it has room."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import pytest
from wsproto import ConnectionType
from wsproto.events import CloseConnection

from polysocket._core.connection import Connection as PlainConnection
from polysocket._core.states import State
from polysocket.close_info import CloseCause, CloseInfo, Side
from polysocket.errors import BufferFull
from polysocket.frames import Binary, Close, Frame, Ping, Pong, Text
from tests.connections import (
    BINARY,
    CLIENT,
    CONT,
    PING,
    PONG,
    RSV1,
    TEXT,
    Connection,
    both_roles,
    close_to,
    connect,
    deflate,
    deflated,
    failure,
    frame_to,
    heard,
    take,
)

MIB = 1024 * 1024


@both_roles
def test_bytes_are_held_while_the_queue_is_full_and_no_frame_is_lost(role: ConnectionType) -> None:
    message = frame_to(role, BINARY, deflated(bytes(100_000)), rsv=RSV1)
    connection = connect(role, 1_000_000, compressed=True)
    connection.queue.limit(None, 250_000)
    connection.receive(message * 20 + close_to(role, 1000))
    assert connection.queue.is_full
    assert connection.holds_bytes
    assert connection.queue.count == 3
    frames = list[Frame | Close]()
    for _ in range(100):
        frames += take(connection)
        assert not connection.queue.is_full
        if not connection.holds_bytes:
            break
        connection.receive(b"")
        assert connection.queue.count <= 3
    assert frames == [Binary(bytes(100_000))] * 20 + [Close(1000)]
    assert connection.state is State.CLOSE_EXCHANGED


@both_roles
def test_new_bytes_are_decoded_after_held_ones(role: ConnectionType) -> None:
    connection = connect(role)
    connection.queue.limit(None, 100)
    whole = b"".join(frame_to(role, PING, bytes([index]) * 60) for index in range(10))
    middle = len(whole) * 7 // 10 + 1
    connection.receive(whole[:middle])
    assert connection.queue.is_full
    connection.receive(whole[middle:])
    frames = take(connection)
    while connection.holds_bytes:
        connection.receive(b"")
        frames += take(connection)
    assert frames == [Ping(bytes([index]) * 60) for index in range(10)]


@both_roles
def test_a_violation_after_held_bytes_is_detected_once_they_are_decoded(role: ConnectionType) -> None:
    connection = connect(role)
    connection.queue.limit(None, 15_000)
    connection.receive(frame_to(role, BINARY, bytes(10_000)) * 3 + b"\xff\xff")
    assert connection.failure is None
    frames = take(connection)
    assert connection.state is State.OPEN
    connection.receive(b"")
    assert connection.failure is not None
    assert frames + take(connection) == [Binary(bytes(10_000))] * 3
    assert failure(connection)[0] == 1002


@pytest.mark.parametrize("opcode", [TEXT, PING])
def test_empty_frames_fill_the_queue_too(opcode: int) -> None:
    """An empty frame costs its sender two bytes, and its receiver an object.

    A caller that waits for a Pong reads frames, but doesn't consume them.
    """
    connection = connect(CLIENT, 1024 * 1024)
    for _ in range(128):
        connection.receive(frame_to(CLIENT, opcode) * 1024)
        if connection.queue.is_full:
            break
    assert connection.queue.is_full


def test_the_queue_is_not_full_once_all_frames_are_taken() -> None:
    connection = connect(CLIENT)
    assert not connection.queue.is_full
    assert not connection.holds_bytes
    connection.queue.limit(None, 10)
    connection.receive(frame_to(CLIENT, TEXT, b"a" * 20))
    assert connection.queue.is_full
    assert not connection.holds_bytes
    take(connection)
    assert not connection.queue.is_full


@both_roles
@pytest.mark.parametrize("opcode", [TEXT, PING])
def test_the_queue_may_be_bounded_in_frames(role: ConnectionType, opcode: int) -> None:
    connection = connect(role)
    connection.queue.limit(3, None)
    frames = list[Frame | Close]()
    connection.receive(frame_to(role, opcode, b"a") * 10)
    for left in (7, 4, 1, 0):
        assert connection.queue.count == min(3, 10 - len(frames))
        assert connection.queue.is_full == (connection.queue.count == 3)
        assert connection.holds_bytes == (left > 0)
        frames += take(connection)
        connection.receive(b"")
    assert frames == [Text("a") if opcode == TEXT else Ping(b"a")] * 10


@pytest.mark.parametrize("bounds", [(3, None), (None, 3000)], ids=["frames", "bytes"])
def test_frames_that_arrive_at_once_exceed_no_bound_of_a_queue_that_has_frames(
    bounds: tuple[int | None, int | None],
) -> None:
    connection = connect(CLIENT)
    connection.queue.limit(*bounds)
    connection.receive(frame_to(CLIENT, TEXT, b"a" * 1000) * 2)
    connection.receive(frame_to(CLIENT, TEXT, b"a" * 1000) * 10)
    assert connection.queue.count == 3


def test_each_frame_that_is_taken_makes_room_for_another() -> None:
    connection = connect(CLIENT)
    connection.queue.limit(3, 25_000)
    connection.receive(frame_to(CLIENT, TEXT, b"a" * 10_000) * 5)
    for _ in range(5):
        assert connection.next_frame() == Text("a" * 10_000)
        assert not connection.queue.is_full
        connection.receive(b"")
    assert connection.next_frame() is None


def test_control_frames_need_no_room_once_the_queue_keeps_none() -> None:
    connection = connect(CLIENT)
    connection.queue.limit(4, None)
    control = frame_to(CLIENT, PING, b"a" * 10) + frame_to(CLIENT, PONG) * 2
    connection.receive(control + frame_to(CLIENT, TEXT, b"b"))
    assert connection.queue.is_full
    connection.queue.keep_no_control_frames()
    assert not connection.queue.is_full
    assert connection.receive(control) == [Ping(b"a" * 10), Pong(), Pong()]
    connection.receive(close_to(CLIENT, 1000))
    assert take(connection) == [Text("b"), Close(1000)]


def test_receive_returns_the_new_frames() -> None:
    connection = connect(CLIENT)
    assert connection.receive(frame_to(CLIENT, TEXT, b"a") * 2) == [Text("a"), Text("a")]
    assert connection.receive(frame_to(CLIENT, PING) + frame_to(CLIENT, TEXT, b"b")[:2]) == [Ping()]
    assert connection.receive(b"b" + close_to(CLIENT, 1000)) == [Text("b"), Close(1000)]
    assert connection.receive(frame_to(CLIENT, PING)) == []


def test_receive_returns_no_data_frames_if_no_caller_asks_for_them() -> None:
    connection = PlainConnection(CLIENT)
    whole, ping = frame_to(CLIENT, TEXT, b"a"), frame_to(CLIENT, PING)
    fragments = frame_to(CLIENT, TEXT, b"b", fin=False) + frame_to(CLIENT, CONT, b"c")
    assert connection.receive(whole + ping + fragments + whole[:2], with_data=False) == [Ping()]
    assert connection.receive(whole[2:] + close_to(CLIENT, 1000), with_data=False) == [Close(1000)]
    whole_and_fragments = [Text("a"), Ping(), Text("b", final=False), Text("c"), Text("a"), Close(1000)]
    assert list(connection.queue) == whole_and_fragments


@both_roles
def test_messages_in_one_frame_are_taken_together(role: ConnectionType) -> None:
    connection = connect(role)
    connection.queue.limit(4, None)
    a, b, ping = frame_to(role, TEXT, b"a" * 300), frame_to(role, BINARY, b"b"), frame_to(role, PING)
    fragments = frame_to(role, TEXT, b"c", fin=False) + frame_to(role, CONT, b"d")
    connection.receive(a + b + a + b)
    queue = connection.queue
    size = queue.size
    assert queue.is_full
    assert queue.take_messages(3) == ["a" * 300, b"b", "a" * 300]
    assert (queue.count, queue.is_full, queue.size) == (1, False, size - 3 * 128 - 601)
    connection.receive(ping + b)
    assert queue.take_messages(10) == [b"b"]
    assert queue.take_messages(10) == []
    assert queue.take() == Ping()
    assert queue.take_messages(10) == [b"b"]
    connection.receive(fragments + b)
    assert queue.take_messages(10) == []
    assert queue.take(Text) == "cd"
    assert queue.take_messages(10) == [b"b"]
    assert (queue.count, queue.size, queue.overhead) == (0, 0, 0)


@pytest.mark.parametrize(("opcode", "kind"), [(TEXT, Binary), (BINARY, Text)])
@pytest.mark.parametrize("fin", [True, False])
def test_a_message_of_another_kind_is_not_taken(opcode: int, kind: type[Text | Binary], fin: bool) -> None:
    connection = connect(CLIENT)
    connection.receive(frame_to(CLIENT, opcode, b"a", fin=fin))
    assert connection.queue.take(kind) is None
    connection.receive(b"" if fin else frame_to(CLIENT, CONT, b"b"))
    whole = b"a" if fin else b"ab"
    assert connection.queue.take((Text, Binary)) == (whole if opcode == BINARY else whole.decode())


@both_roles
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_fragments_that_are_taken_one_after_another_are_joined(role: ConnectionType, opcode: int) -> None:
    connection = connect(role)
    queue = connection.queue
    connection.receive(frame_to(role, opcode, b"a", fin=False) + frame_to(role, CONT, b"b", fin=False))
    assert queue.take((Text, Binary)) is None
    connection.receive(frame_to(role, CONT, b"c", fin=False) + frame_to(role, PING) + frame_to(role, CONT, b"d"))
    assert queue.take((Text, Binary)) is None
    assert queue.take((Text, Binary)) is None
    assert queue.take() == Ping()
    assert queue.take((Text, Binary)) == ("abcd" if opcode == TEXT else b"abcd")
    assert (queue.count, queue.size, queue.overhead, bool(queue.fragments)) == (0, 0, 0, False)


def test_the_queue_counts_the_bytes_of_a_text_in_utf_8() -> None:
    connection = connect(CLIENT)
    connection.queue.limit(None, 4000, 0)
    connection.receive(frame_to(CLIENT, TEXT, "𝄞".encode() * 500) * 3)
    assert connection.queue.count == 2
    assert connection.queue.size == 4000
    take(connection)
    assert connection.queue.size == 0


def test_held_bytes_are_not_copied_for_each_frame_that_is_taken() -> None:
    connection = connect(CLIENT)
    connection.queue.limit(1, None)
    connection.receive(frame_to(CLIENT, TEXT, b"a" * 100) * 1000)
    connection.next_frame()
    tracemalloc.start()
    try:
        connection.receive(b"")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10_000
    assert connection.queue.is_full


@pytest.mark.parametrize("bound", [(2, None), (None, 10)], ids=["frames", "bytes"])
def test_an_overflow_fails_the_connection_after_the_queued_frames(bound: tuple[int | None, int | None]) -> None:
    connection = connect(CLIENT)
    connection.queue.limit(*bound)
    connection.receive(frame_to(CLIENT, TEXT, b"a" * 5) * 5)
    assert connection.queue.is_full
    connection.overflow(1)
    assert connection.state is State.FAILED
    assert take(connection) == [Text("a" * 5)]
    error = connection.error()
    assert type(error) is BufferFull
    detail = "1 received frames wait, and there is no room for more"
    assert error.close_info == CloseInfo(Side.LOCAL, CloseCause.BUFFER_FULL, None, Close(1008, detail), detail)
    assert heard(connection, CLIENT) == [CloseConnection(1008, detail)]


def fail(connection: Connection) -> None:
    connection.receive(b"\xff\xff")
    connection.fail()


ENDS: dict[str, Callable[[Connection], object]] = {
    "a Close": lambda connection: connection.receive(close_to(CLIENT, 1000)),
    "a failure": fail,
    "an overflow": lambda connection: connection.overflow(None),
    "the end": lambda connection: connection.receive_eof(),
}


@pytest.mark.parametrize("end", ENDS)
def test_the_queue_is_not_full_once_no_more_frames_can_arrive(end: str) -> None:
    """Otherwise a buffer would overflow at the Close after its last frame, or twice."""
    connection = connect(CLIENT)
    connection.queue.limit(3, 30_000)
    connection.receive(frame_to(CLIENT, TEXT, b"a" * 10_000) * 2)
    ENDS[end](connection)
    connection.queue.limit(2, 20_000)
    assert connection.queue.count >= 2
    assert not connection.queue.is_full
    assert not connection.holds_bytes


def test_a_connection_that_drops_incoming_frames_holds_nothing_back() -> None:
    connection = connect(CLIENT)
    connection.queue.limit(None, 10)
    connection.receive(frame_to(CLIENT, PING, bytes(20)) * 3 + close_to(CLIENT, 1000))
    assert connection.holds_bytes
    connection.send(Close(1000))
    connection.drop_incoming()
    assert not connection.queue.is_full
    connection.receive(b"")
    assert not connection.holds_bytes
    assert take(connection) == [Ping(bytes(20)), Close(1000)]


DEFLATED = deflated(bytes(MIB))


@pytest.mark.parametrize(
    ("flood", "most"),
    [
        (frame_to(CLIENT, PING) * 10_000, 520),
        (frame_to(CLIENT, BINARY, fin=False) + frame_to(CLIENT, CONT, fin=False) * 10_000, 2100),
        (frame_to(CLIENT, BINARY) * 10_000, 2100),
        (frame_to(CLIENT, BINARY, DEFLATED, rsv=RSV1) * 100, 2),
        (frame_to(CLIENT, BINARY, b"\x03\x00" * 8000, rsv=RSV1) * 100, 1),
        (frame_to(CLIENT, BINARY, b"\x03\x00" * 50, rsv=RSV1) * 100, 20),
    ],
    ids=["Pings", "fragments", "empty messages", "deflated MiBs", "final blocks", "few final blocks each"],
)
@pytest.mark.parametrize("keeps", [True, False], ids=["kept", "dropped"])
def test_what_is_decoded_in_one_turn_is_bounded(flood: bytes, most: int, keeps: bool) -> None:
    connection = PlainConnection(CLIENT, deflate(CLIENT, MIB), None)
    connection.queue.limit(None, None)
    if not keeps:
        connection.queue.keep_only_close()
    frames = connection.receive(flood)
    assert 1 <= len(frames) <= most
    assert connection.holds_bytes
