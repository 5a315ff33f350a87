"""The frames of a connection that receives valid bytes: whole or in fragments, in every chunking (RFC 6455 §5)."""

from __future__ import annotations

import pytest
from wsproto import ConnectionType

from polysocket._core.states import State
from polysocket.frames import Binary, Close, Frame, Ping, Pong, Text
from tests.connections import (
    BINARY,
    CONT,
    PING,
    PONG,
    RSV1,
    SIZES,
    TEXT,
    both_roles,
    close_to,
    connect,
    deflated,
    failure,
    frame_to,
    receive,
    take,
)


@both_roles
def test_frames_are_received_as_they_were_sent(role: ConnectionType) -> None:
    connection = connect(role)
    data = (
        frame_to(role, TEXT, "𝄞é".encode())
        + frame_to(role, BINARY, b"\x00\xff")
        + frame_to(role, PING, b"ping")
        + frame_to(role, PONG, b"pong")
        + frame_to(role, PING)
        + frame_to(role, PONG)
        + frame_to(role, TEXT)
        + frame_to(role, BINARY)
    )
    expected = [Text("𝄞é"), Binary(b"\x00\xff"), Ping(b"ping"), Pong(b"pong"), Ping(), Pong(), Text(""), Binary(b"")]
    assert receive(connection, data) == expected
    assert connection.state is State.OPEN
    assert connection.close_info is None
    assert connection.data_to_send() == b""


@both_roles
def test_fragments_are_received_one_by_one_with_control_frames_between_them(role: ConnectionType) -> None:
    """RFC 6455 §5.4."""
    data = (
        frame_to(role, TEXT, b"a", fin=False)
        + frame_to(role, PING, b"1")
        + frame_to(role, CONT, b"", fin=False)
        + frame_to(role, PONG, b"2")
        + frame_to(role, CONT, b"b", fin=True)
        + frame_to(role, BINARY, b"", fin=False)
        + frame_to(role, CONT, b"", fin=True)
        + frame_to(role, TEXT, b"c")
    )
    assert receive(connect(role), data) == [
        Text("a", final=False),
        Ping(b"1"),
        Text("", final=False),
        Pong(b"2"),
        Text("b"),
        Binary(b"", final=False),
        Binary(b""),
        Text("c"),
    ]


@both_roles
@pytest.mark.parametrize(
    ("opcode", "fin", "frame"),
    [
        (TEXT, True, Text("a𝄞b")),
        (TEXT, False, Text("a𝄞b", final=False)),
        (BINARY, True, Binary("a𝄞b".encode())),
        (BINARY, False, Binary("a𝄞b".encode(), final=False)),
        (PING, True, Ping("a𝄞b".encode())),
        (PONG, True, Pong("a𝄞b".encode())),
    ],
)
def test_a_frame_in_three_chunks_is_one_frame(role: ConnectionType, opcode: int, fin: bool, frame: Frame) -> None:
    data = frame_to(role, opcode, "a𝄞b".encode(), fin=fin)
    for first in range(1, len(data) - 1):
        for second in range(first + 1, len(data)):
            connection = connect(role)
            assert receive(connection, data[:first]) == []
            assert receive(connection, data[first:second]) == []
            assert receive(connection, data[second:]) == [frame]


@both_roles
@pytest.mark.parametrize("size", SIZES)
def test_every_form_of_length_is_read_even_if_its_header_is_split(role: ConnectionType, size: int) -> None:
    """RFC 6455 §5.2."""
    data = frame_to(role, BINARY, b"\x80" * size) + frame_to(role, TEXT, b"a" * size)
    second = len(data) // 2
    for cut in range(min(15, second)):
        connection = connect(role)
        frames = receive(connection, data[:cut])
        frames += receive(connection, data[cut : second + cut])
        frames += receive(connection, data[second + cut :])
        assert frames == [Binary(b"\x80" * size), Text("a" * size)]


@both_roles
def test_a_character_split_between_two_fragments_belongs_to_the_later_one(role: ConnectionType) -> None:
    clef = "𝄞".encode()
    data = (
        frame_to(role, TEXT, b"a" + clef[:1], fin=False)
        + frame_to(role, CONT, clef[1:2], fin=False)
        + frame_to(role, PING)
        + frame_to(role, CONT, clef[2:] + b"b")
    )
    for chunk in (1, 2, 3, None):
        assert receive(connect(role), data, chunk) == [
            Text("a", final=False),
            Text("", final=False),
            Ping(),
            Text("𝄞b"),
        ]


@both_roles
def test_compressed_and_plain_messages_may_alternate(role: ConnectionType) -> None:
    """RFC 7692 §6: compression is chosen for each message."""
    packed = deflated("é".encode() * 1000)
    data = (
        frame_to(role, TEXT, packed[:4], fin=False, rsv=RSV1)
        + frame_to(role, PING, b"between")
        + frame_to(role, CONT, packed[4:])
        + frame_to(role, TEXT, b"plain")
        + frame_to(role, BINARY, b"\x00", rsv=RSV1)
        + frame_to(role, BINARY, b"plain")
    )
    for chunk in (1, 5, None):
        frames = receive(connect(role, compressed=True), data, chunk)
        begin, between, end, *rest = frames
        assert isinstance(begin, Text)
        assert isinstance(end, Text)
        assert between == Ping(b"between")
        assert begin.payload + end.payload == "é" * 1000
        assert (begin.final, end.final) == (False, True)
        assert rest == [Text("plain"), Binary(b""), Binary(b"plain")]


@both_roles
def test_nothing_is_read_after_a_close(role: ConnectionType) -> None:
    """RFC 6455 §5.5.1: "The application MUST NOT send any more data frames after sending a Close frame"."""
    connection = connect(role)
    data = close_to(role, 1000) + frame_to(role, TEXT, b"late") + close_to(role, 1001) + b"\xff\xff"
    assert receive(connection, data) == [Close(1000)]
    sent = connection.data_to_send()
    assert receive(connection, frame_to(role, TEXT, b"later") + b"\xff") == []
    assert connection.state is State.CLOSE_EXCHANGED
    assert connection.data_to_send() == b""
    assert sent


@both_roles
@pytest.mark.parametrize("later", [b"", b"a", "é".encode()])
def test_a_fragment_does_not_leave_a_character_of_the_one_before_unfinished(role: ConnectionType, later: bytes) -> None:
    connection = connect(role)
    connection.receive(frame_to(role, TEXT, b"a\xc3", fin=False) + frame_to(role, CONT, later))
    assert take(connection) == [Text("a", final=False)]
    assert failure(connection)[0] == 1007
