"""Promises that wsproto 1.3.2 alone does not keep; each test names the RFC's section."""

from __future__ import annotations

import tracemalloc

import pytest
from wsproto import ConnectionType

from polysocket._core.states import State
from polysocket.errors import InvalidFrame
from polysocket.frames import Close, Ping, Text
from tests.connections import (
    BINARY,
    CLIENT,
    CONT,
    PING,
    RSV1,
    RSV3,
    SERVER,
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


def test_inflating_stops_at_the_limit_of_a_message() -> None:
    """RFC 7692 leaves the bound open; wsproto 1.3.2 makes one event of 64 MiB out of 65 KB before any size check."""
    packed = deflated(bytes(64 * 1024 * 1024))
    data = frame_to(CLIENT, BINARY, packed, rsv=RSV1)
    assert len(data) < 66_000
    connection = connect(CLIENT, 1024 * 1024, compressed=True)
    tracemalloc.start()
    try:
        assert receive(connection, data) == []
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert failure(connection) == (1009, "a message inflates to more than 1048576 bytes")
    assert peak < 8 * 1024 * 1024


@both_roles
def test_a_ping_may_arrive_between_the_fragments_of_a_compressed_message(role: ConnectionType) -> None:
    """RFC 7692 §6.1 with RFC 6455 §5.4; wsproto 1.3.2 forgets that the message is compressed, and closes with 1007."""
    hello = bytes.fromhex("f2 48 cd c9 c9 07 00")  # RFC 7692 §7.2.3.1
    data = frame_to(role, TEXT, hello[:3], fin=False, rsv=RSV1) + frame_to(role, PING) + frame_to(role, CONT, hello[3:])
    frames = receive(connect(role, compressed=True), data)
    assert [type(frame) for frame in frames] == [Text, Ping, Text]
    assert "".join(frame.payload for frame in frames if isinstance(frame, Text)) == "Hello"


@both_roles
def test_messages_may_follow_one_that_ends_with_a_final_deflate_block(role: ConnectionType) -> None:
    """RFC 7692 §7.2.3.4, §7.2.3.5; wsproto 1.3.2 closes with 1007 at the next message."""
    message = frame_to(role, TEXT, deflated(b"Hello", final=True) + b"\x00", rsv=RSV1)
    assert receive(connect(role, compressed=True), message * 3) == [Text("Hello")] * 3


@both_roles
@pytest.mark.parametrize(
    ("bad", "limit"),
    [((TEXT, b"\xff", 0), None), ((TEXT, b"", RSV3), None), ((BINARY, bytes(2000), 0), 1000)],
    ids=["bad UTF-8", "RSV3", "too big"],
)
def test_a_failed_connection_reads_and_buffers_nothing_more(
    role: ConnectionType, bad: tuple[int, bytes, int], limit: int | None
) -> None:
    """RFC 6455 §7.1.7; wsproto 1.3.2 stays OPEN after a parse error and buffers all that arrives."""
    opcode, payload, rsv = bad
    connection = connect(role, limit)
    more = frame_to(role, BINARY, bytes(50_000))
    connection.receive(frame_to(role, opcode, payload, rsv=rsv) + more)
    tracemalloc.start()
    try:
        for _ in range(20):
            connection.receive(more)
        assert take(connection) == []
        for _ in range(20):
            connection.receive(bytes([1]) + more)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 20_000
    assert take(connection) == []
    assert not connection.queue.is_full
    assert not connection.holds_bytes
    assert connection.state is State.FAILED


def test_a_protocol_error_is_not_mistaken_for_a_close_of_the_peer() -> None:
    """RFC 6455 §7.1.5, §7.1.7; wsproto 1.3.2 reports both with the same event, CloseConnection."""
    connection = connect(CLIENT)
    assert receive(connection, b"\x83\x00") == []
    assert connection.close_info is not None
    assert connection.close_info.received is None
    assert connection.close_info.code == 1006


def test_a_close_is_answered() -> None:
    """RFC 6455 §5.5.1: "the endpoint MUST send a Close frame in response"; wsproto 1.3.2 leaves that to its user."""
    connection = connect(SERVER)
    receive(connection, close_to(SERVER, 4000, b"bye"))
    assert connection.data_to_send() == b"\x88\x02\x0f\xa0"


def test_a_close_without_a_code_is_sent_without_a_code() -> None:
    """RFC 6455 §5.5.1, §7.4.1; wsproto 1.3.2 sends 1000 for a plain 1005."""
    connection = connect(SERVER)
    connection.send(Close(1005))
    assert connection.data_to_send() == b"\x88\x00"


@pytest.mark.parametrize("code", [999, 1006, 1015, 5000])
def test_a_close_code_that_may_not_be_sent_is_refused(code: int) -> None:
    """RFC 6455 §7.4; wsproto 1.3.2 sends 1000 for 1006 and 1015, and others as they are."""
    with pytest.raises(InvalidFrame):
        connect(SERVER).send(Close(code))


def test_a_reason_that_is_too_long_is_refused() -> None:
    """RFC 6455 §5.5; wsproto 1.3.2 truncates it silently."""
    with pytest.raises(InvalidFrame):
        connect(SERVER).send(Close(1000, "é" * 62))


def test_a_new_message_does_not_silently_continue_an_unfinished_one() -> None:
    """RFC 6455 §5.4; wsproto 1.3.2 sends it as the next fragment."""
    connection = connect(SERVER)
    connection.send(Text("a", final=False))
    with pytest.raises(InvalidFrame):
        connection.send(Text("b"))
