"""A pending failure: the frames before it are consumed first, and dropping incoming frames makes it due."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from wsproto import ConnectionType
from wsproto.events import CloseConnection, TextMessage
from wsproto.events import Pong as PongEvent

from polysocket._core.states import State
from polysocket.close_info import CloseCause
from polysocket.errors import ProtocolError
from polysocket.frames import Close, Ping, Pong, Text
from tests.connections import (
    BINARY,
    CLIENT,
    CONT,
    PING,
    SERVER,
    TEXT,
    Connection,
    both_roles,
    close_to,
    connect,
    failure,
    frame_to,
    heard,
    take,
)


@both_roles
def test_frames_before_a_violation_can_be_received_and_answered_before_the_connection_fails(
    role: ConnectionType,
) -> None:
    connection = connect(role)
    connection.receive(frame_to(role, PING, b"1") + frame_to(role, TEXT, b"a") + b"\xff\xff")
    assert connection.failure is not None
    assert connection.state is State.OPEN
    assert connection.close_info is None
    assert connection.data_to_send() == b""
    assert connection.next_frame() == Ping(b"1")
    connection.send(Pong(b"1"))
    assert connection.next_frame() == Text("a")
    connection.send(Text("answer"))
    assert connection.failure is not None
    assert connection.next_frame() is None
    assert connection.failure is None
    assert failure(connection)[0] == 1002
    pong, answer, close = heard(connection, role)
    assert pong == PongEvent(b"1")
    assert answer == TextMessage("answer")
    assert isinstance(close, CloseConnection)
    assert close.code == 1002
    with pytest.raises(ProtocolError):
        connection.send(Pong(b"1"))


@both_roles
def test_fail_fails_the_connection_at_once_and_keeps_the_queued_frames(role: ConnectionType) -> None:
    connection = connect(role)
    connection.receive(frame_to(role, TEXT, b"a") + b"\xff\xff")
    connection.fail()
    assert failure(connection)[0] == 1002
    assert connection.data_to_send()
    connection.fail()
    assert connection.data_to_send() == b""
    assert connection.next_frame() == Text("a")
    assert connection.next_frame() is None


def test_fail_does_nothing_without_a_pending_failure() -> None:
    connection = connect(CLIENT)
    connection.fail()
    assert connection.failure is None
    assert connection.state is State.OPEN
    assert connection.next_frame() is None
    assert connection.close_info is None


def test_no_second_close_is_sent_if_the_connection_fails_after_a_close() -> None:
    connection = connect(SERVER)
    connection.receive(frame_to(SERVER, TEXT, b"a") + b"\xff\xff")
    connection.send(Close(1001))
    assert take(connection) == [Text("a")]
    assert connection.state is State.FAILED
    assert connection.data_to_send() == b"\x88\x02\x03\xe9"
    assert connection.close_info is not None
    assert connection.close_info.sent == Close(1001)
    assert connection.close_info.cause is CloseCause.PROTOCOL_ERROR
    assert isinstance(connection.error(), ProtocolError)


@pytest.mark.parametrize(
    "end", [lambda connection: connection.receive_eof(), lambda connection: connection.abort(CloseCause.TIMEOUT, "")]
)
def test_a_pending_failure_is_reported_even_if_the_connection_ends_first(end: Callable[[Connection], None]) -> None:
    connection = connect(CLIENT)
    connection.receive(frame_to(CLIENT, TEXT, b"a") + b"\xff\xff")
    end(connection)
    assert take(connection) == [Text("a")]
    assert connection.state is State.CLOSED
    error = connection.error()
    assert isinstance(error, ProtocolError)
    assert error.close_info.sent is not None
    assert error.close_info.sent.code == 1002


def test_dropping_incoming_frames_makes_a_pending_failure_take_effect() -> None:
    connection = connect(CLIENT)
    connection.receive(frame_to(CLIENT, TEXT, b"a") + b"\xff\xff")
    connection.drop_incoming()
    assert failure(connection)[0] == 1002
    assert take(connection) == [Text("a")]


@both_roles
def test_dropping_incoming_frames_keeps_the_queued_ones_and_the_close(role: ConnectionType) -> None:
    connection = connect(role)
    connection.receive(frame_to(role, TEXT, b"before"))
    connection.send(Close(1000))
    connection.drop_incoming()
    connection.queue.limit(None, 1)
    connection.receive(
        frame_to(role, TEXT, b"a")
        + frame_to(role, PING)
        + frame_to(role, BINARY, b"b", fin=False)
        + frame_to(role, CONT, b"c")
        + close_to(role, 1000)
    )
    assert take(connection) == [Text("before"), Close(1000)]
    assert connection.state is State.CLOSE_EXCHANGED
