"""Receiving straight into the buffer of a large payload: ``room`` beside ``receive``."""

from __future__ import annotations

import tracemalloc

import pytest
from wsproto import ConnectionType

from polysocket._core import pieces
from polysocket.close_info import CloseCause
from polysocket.frames import Binary, Close, Ping, Text
from tests.connections import (
    BINARY,
    CLIENT,
    CONT,
    PING,
    RSV1,
    SERVER,
    TEXT,
    Connection,
    both_roles,
    close_to,
    connect,
    frame_to,
    huge_header,
    take,
)

KIB = 1024
LEAST = 64 * KIB
CONTENT = bytes(index * 7 % 251 for index in range(500_001))
WIDE = ("aé€𝄞" * 60_000).encode()


def room_of(connection: Connection) -> memoryview | None:
    return connection.inner.room() if connection.inner.has_room else None


def fill(connection: Connection, wire: bytes, size: int | None = None) -> int:
    """Have the connection take the bytes, by its room where it has one; return how many it took by that."""
    position = filled = 0
    while position < len(wire):
        if (room := room_of(connection)) is None:
            step = 1000
            connection.receive(wire[position : position + step])
        else:
            step = min(len(room), size or len(room), len(wire) - position)
            room[:step] = wire[position : position + step]
            connection.inner.note_filled(step)
            filled += step
        position += step
    return filled


@both_roles
@pytest.mark.parametrize("size", [None, 777, 70_001])
def test_a_large_payload_is_received_into_its_buffer(role: ConnectionType, size: int | None) -> None:
    connection = connect(role)
    wire = frame_to(role, BINARY, CONTENT) + frame_to(role, PING, b"a") + frame_to(role, TEXT, WIDE)
    assert fill(connection, wire, size) > len(CONTENT) + len(WIDE) - 2 * LEAST - 2000
    assert take(connection) == [Binary(CONTENT), Ping(b"a"), Text(WIDE.decode())]
    assert connection.inner.bytes_received == len(wire)


@both_roles
@pytest.mark.parametrize("cut", range(-4, 5))
def test_a_character_may_be_split_between_two_fragments(role: ConnectionType, cut: int) -> None:
    connection = connect(role)
    middle = len(WIDE) // 2 + cut
    parts = WIDE[:middle], WIDE[middle:]
    wire = frame_to(role, TEXT, parts[0], fin=False) + frame_to(role, CONT, parts[1])
    assert fill(connection, wire) > LEAST
    first, last = take(connection)
    assert isinstance(first, Text)
    assert isinstance(last, Text)
    assert first.payload == parts[0].decode(errors="ignore")
    assert (first.final, last.final) == (False, True)
    assert first.payload + last.payload == WIDE.decode()


@both_roles
def test_bytes_that_are_not_utf_8_are_found_at_once(role: ConnectionType) -> None:
    connection = connect(role)
    wire = frame_to(role, TEXT, b"a" * 100_000 + b"\xff" + b"a" * 200_000)
    filled = fill(connection, wire[:150_000], 1000)
    assert 0 < filled < 101_000
    connection.inner.fail()
    info = connection.close_info
    assert info is not None
    assert info.cause is CloseCause.PROTOCOL_ERROR
    assert room_of(connection) is None
    assert connection.inner.note_filled(1) == []


def test_a_peer_that_only_announces_a_payload_is_given_little_room() -> None:
    pieces._spare.clear()
    connection = connect(CLIENT)
    connection.receive(huge_header(CLIENT, 2**20))
    room = room_of(connection)
    assert room is not None
    assert len(room) == LEAST
    connection.receive(bytes(100_000))  # The room need not be used.
    room = room_of(connection)
    assert room is not None
    assert len(room) == 100_000
    assert connection.inner.note_filled(100_000) == []
    room = room_of(connection)
    assert room is not None
    assert len(room) == 200_000


@pytest.mark.parametrize(
    "wire",
    [
        b"",
        frame_to(CLIENT, BINARY, bytes(LEAST)),
        frame_to(CLIENT, BINARY, bytes(LEAST + 10))[:-LEAST] + b"a",
        huge_header(CLIENT, 2**20)[:5],
        huge_header(CLIENT, 2**20, first=0x80 | RSV1 << 4 | BINARY),
        close_to(CLIENT, 1000),
        frame_to(CLIENT, TEXT) * 10_000 + huge_header(CLIENT, 2**20),
    ],
    ids=["nothing", "a whole frame", "little is missing", "a header's part", "compressed", "a Close", "held bytes"],
)
def test_there_is_no_room_if_bytes_have_to_be_decoded_otherwise(wire: bytes) -> None:
    connection = connect(CLIENT, compressed=True)
    connection.inner.receive(wire)
    assert room_of(connection) is None


def test_a_frame_is_returned_once_it_is_whole_unless_it_is_not_wanted() -> None:
    for with_data, expected in ((True, [Binary(bytes(100_000))]), (False, [])):
        connection = connect(SERVER)
        wire = frame_to(SERVER, BINARY, bytes(100_000))
        connection.receive(wire[:-LEAST])
        room = room_of(connection)
        assert room is not None
        room[:] = wire[-LEAST:]
        assert connection.inner.note_filled(LEAST, with_data) == expected
        connection.receive(close_to(SERVER, 1000))
        assert take(connection) == [Binary(bytes(100_000)), Close(1000)]


def test_a_small_payload_does_not_hold_the_buffer_of_a_large_one() -> None:
    connection = connect(CLIENT)
    fill(connection, frame_to(CLIENT, BINARY, CONTENT))
    connection.receive(frame_to(CLIENT, BINARY, bytes(100))[:50])
    assert len(pieces._spare) == 1


@pytest.mark.parametrize("opcode", [BINARY, TEXT])
def test_receiving_a_message_of_many_mebibytes_takes_little_more_than_its_size(opcode: int) -> None:
    payload = b"a" * (8 * 1024 * KIB)
    wire = frame_to(CLIENT, opcode, payload)
    connection = connect(CLIENT)
    tracemalloc.start()
    try:
        for start in range(0, len(wire), 120 * KIB):
            connection.inner.receive(memoryview(wire)[start : start + 120 * KIB], False)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert connection.queue.count == 1
    assert peak < (1 if opcode == BINARY else 2) * len(payload) * 1.25
