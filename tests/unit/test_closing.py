"""The closing of connections of both roles: for every way to end, its state, ``CloseInfo`` and error (RFC 6455 §7)."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Any

import pytest
from wsproto import ConnectionType
from wsproto.events import CloseConnection, TextMessage

from polysocket._core.states import State
from polysocket.close_info import CloseCause, CloseInfo, Side
from polysocket.errors import ConnectionLost, MessageTooBig, ProtocolError, WebSocketClosed
from polysocket.frames import Binary, Close, CloseCode, Ping, Pong, Text
from tests.connections import (
    BINARY,
    CLIENT,
    PING,
    SERVER,
    TEXT,
    Connection,
    both_roles,
    close_to,
    frame_to,
    heard,
    receive,
    take,
)

ALLOWED = [1000, 1001, 1002, 1003, *range(1007, 1014), 3000, 3999, 4000, 4999]


@both_roles
@pytest.mark.parametrize("code", ALLOWED)
@pytest.mark.parametrize("reason", ["", "é", "a" * 123, "𝄞" * 30 + "abc"], ids=len)
def test_a_close_is_sent_with_its_code_and_reason(role: ConnectionType, code: int, reason: str) -> None:
    """RFC 6455 §7.4; the reason has up to 123 bytes (§5.5)."""
    connection = Connection(role)
    connection.send(Close(code, reason))
    assert connection.state is State.CLOSE_SENT
    assert connection.close_info == CloseInfo(Side.LOCAL, CloseCause.CLOSE, None, Close(code, reason))
    masked = role is CLIENT
    data = connection.data_to_send()
    assert data[:2] == bytes([0x88, (0x80 if masked else 0) | 2 + len(reason.encode())])
    if not masked:
        assert data[2:] == code.to_bytes(2, "big") + reason.encode()


class OwnCode(IntEnum):
    KICKED = 4001


def test_a_close_code_may_be_a_member_of_the_users_enum() -> None:
    connection = Connection(SERVER)
    connection.send(Close(OwnCode.KICKED))
    assert connection.data_to_send() == b"\x88\x02\x0f\xa1"


@both_roles
@pytest.mark.parametrize("code", [1005, CloseCode.NO_STATUS_RECEIVED])
def test_a_close_without_a_code_is_an_empty_frame_in_both_directions(role: ConnectionType, code: int) -> None:
    """RFC 6455 §5.5.1, §7.1.5."""
    connection = Connection(role)
    connection.send(Close(code))
    assert heard(connection, role) == [CloseConnection(1005, "")]
    assert receive(connection, close_to(role)) == [Close(CloseCode.NO_STATUS_RECEIVED)]
    assert connection.close_info == CloseInfo(Side.LOCAL, CloseCause.CLOSE, Close(1005), Close(1005))


@both_roles
def test_the_answer_to_a_close_echoes_its_code_but_not_its_reason(role: ConnectionType) -> None:
    """RFC 6455 §5.5.1: "the endpoint typically echos the status code it received"."""
    for code, payload in ((4321, b"why"), (1000, b"")):
        connection = Connection(role)
        assert receive(connection, close_to(role, code, payload)) == [Close(code, payload.decode())]
        assert heard(connection, role) == [CloseConnection(code, "")]
    connection = Connection(role)
    assert receive(connection, close_to(role)) == [Close(1005)]
    assert heard(connection, role) == [CloseConnection(1005, "")]


@both_roles
def test_the_answer_to_a_close_is_sent_after_earlier_frames(role: ConnectionType) -> None:
    connection = Connection(role)
    connection.send(Text("first"))
    connection.receive(close_to(role, 1000))
    assert heard(connection, role) == [TextMessage("first"), CloseConnection(1000, "")]


@both_roles
def test_frames_are_received_until_a_sent_close_is_answered(role: ConnectionType) -> None:
    """RFC 6455 §5.5.1 lets the peer finish its message first."""
    connection = Connection(role)
    connection.send(Close(1001, "bye"))
    connection.data_to_send()
    data = frame_to(role, PING, b"1") + frame_to(role, TEXT, b"late") + close_to(role, 1001)
    assert receive(connection, data) == [Ping(b"1"), Text("late"), Close(1001)]
    assert connection.state is State.CLOSE_EXCHANGED
    assert connection.data_to_send() == b""


@both_roles
def test_a_close_may_be_sent_and_received_between_fragments(role: ConnectionType) -> None:
    connection = Connection(role)
    connection.send(Text("a", final=False))
    data = frame_to(role, TEXT, b"a", fin=False) + close_to(role, 1001)
    assert receive(connection, data) == [Text("a", final=False), Close(1001)]
    assert heard(connection, role) == [TextMessage("a", message_finished=False), CloseConnection(1001, "")]


def test_two_closes_that_cross_are_not_answered() -> None:
    """RFC 6455 §7.1.3, §7.1.4: each peer takes the Close of the other for the answer."""
    client, server = Connection(CLIENT), Connection(SERVER)
    client.send(Close(1000, "client"))
    server.send(Close(1001, "server"))
    to_server, to_client = client.data_to_send(), server.data_to_send()
    assert receive(client, to_client) == [Close(1001, "server")]
    assert receive(server, to_server) == [Close(1000, "client")]
    assert client.data_to_send() == server.data_to_send() == b""
    assert client.state is server.state is State.CLOSE_EXCHANGED
    for connection, mine, yours in ((client, "client", "server"), (server, "server", "client")):
        assert connection.close_info is not None
        assert connection.close_info.initiator is Side.LOCAL
        assert connection.close_info.sent is not None
        assert connection.close_info.received is not None
        assert (connection.close_info.sent.reason, connection.close_info.received.reason) == (mine, yours)


def test_the_server_ends_the_connection_and_the_client_waits_for_the_server() -> None:
    """RFC 6455 §7.1.1."""
    client, server = Connection(CLIENT), Connection(SERVER)
    client.send(Close())
    assert not client.is_over
    receive(server, client.data_to_send())
    assert server.is_over
    receive(client, server.data_to_send())
    assert client.state is State.CLOSE_EXCHANGED
    assert not client.is_over
    client.receive_eof()
    server.receive_eof()
    assert client.is_over
    assert server.is_over


Step = Callable[[Connection, ConnectionType], object]


def own_close(connection: Connection, role: ConnectionType) -> None:
    connection.send(Close(1001, "done"))


def close_of_the_peer(connection: Connection, role: ConnectionType) -> None:
    connection.receive(close_to(role, 4000, b"bye"))


def bad_bytes(connection: Connection, role: ConnectionType) -> None:
    receive(connection, frame_to(role, 0x3))


def too_big(connection: Connection, role: ConnectionType) -> None:
    receive(connection, frame_to(role, BINARY, bytes(101)))


def end(connection: Connection, role: ConnectionType) -> None:
    connection.receive_eof()


def reset(connection: Connection, role: ConnectionType) -> None:
    connection.receive_eof(ConnectionResetError(104, "reset by peer"))


def time_out(connection: Connection, role: ConnectionType) -> None:
    connection.abort(CloseCause.TIMEOUT, "no Close within 10 seconds")


def cancel(connection: Connection, role: ConnectionType) -> None:
    connection.abort(CloseCause.CANCELLATION, "did not wait")


L, R = Side.LOCAL, Side.REMOTE
BAD_OPCODE, BIG_BINARY = (
    "a frame with the reserved opcode 0x3 (RFC 6455 §5.2)",
    "a message of at least 101 bytes, over the limit of 100",
)
NO_CLOSE = "the connection ended without a Close"
ENDINGS: dict[str, tuple[list[Step], State, CloseInfo, type[WebSocketClosed]]] = {
    "own Close": (
        [own_close],
        State.CLOSE_SENT,
        CloseInfo(L, CloseCause.CLOSE, None, Close(1001, "done")),
        WebSocketClosed,
    ),
    "own Close, answered": (
        [own_close, close_of_the_peer],
        State.CLOSE_EXCHANGED,
        CloseInfo(L, CloseCause.CLOSE, Close(4000, "bye"), Close(1001, "done")),
        WebSocketClosed,
    ),
    "own Close, answered and ended": (
        [own_close, close_of_the_peer, end],
        State.CLOSED,
        CloseInfo(L, CloseCause.CLOSE, Close(4000, "bye"), Close(1001, "done")),
        WebSocketClosed,
    ),
    "own Close, then bad bytes": (
        [own_close, bad_bytes],
        State.FAILED,
        CloseInfo(L, CloseCause.PROTOCOL_ERROR, None, Close(1001, "done"), BAD_OPCODE),
        ProtocolError,
    ),
    "own Close, then a message too big": (
        [own_close, too_big],
        State.FAILED,
        CloseInfo(L, CloseCause.LIMIT, None, Close(1001, "done"), BIG_BINARY),
        MessageTooBig,
    ),
    "own Close, then the end": (
        [own_close, end],
        State.CLOSED,
        CloseInfo(L, CloseCause.NETWORK, None, Close(1001, "done"), NO_CLOSE),
        ConnectionLost,
    ),
    "own Close, then an error": (
        [own_close, reset],
        State.CLOSED,
        CloseInfo(L, CloseCause.NETWORK, None, Close(1001, "done"), "[Errno 104] reset by peer"),
        ConnectionLost,
    ),
    "own Close, not answered in time": (
        [own_close, time_out],
        State.CLOSED,
        CloseInfo(L, CloseCause.TIMEOUT, None, Close(1001, "done"), "no Close within 10 seconds"),
        ConnectionLost,
    ),
    "own Close, cancelled": (
        [own_close, cancel],
        State.CLOSED,
        CloseInfo(L, CloseCause.CANCELLATION, None, Close(1001, "done"), "did not wait"),
        ConnectionLost,
    ),
    "the peer's Close": (
        [close_of_the_peer],
        State.CLOSE_EXCHANGED,
        CloseInfo(R, CloseCause.CLOSE, Close(4000, "bye"), Close(4000)),
        WebSocketClosed,
    ),
    "the peer's Close, then the end": (
        [close_of_the_peer, end],
        State.CLOSED,
        CloseInfo(R, CloseCause.CLOSE, Close(4000, "bye"), Close(4000)),
        WebSocketClosed,
    ),
    "the peer's Close, then an error": (
        [close_of_the_peer, reset],
        State.CLOSED,
        CloseInfo(R, CloseCause.CLOSE, Close(4000, "bye"), Close(4000)),
        WebSocketClosed,
    ),
    "the peer's Close, then no end in time": (
        [close_of_the_peer, time_out],
        State.CLOSED,
        CloseInfo(R, CloseCause.CLOSE, Close(4000, "bye"), Close(4000)),
        WebSocketClosed,
    ),
    "bad bytes": (
        [bad_bytes],
        State.FAILED,
        CloseInfo(L, CloseCause.PROTOCOL_ERROR, None, Close(1002, BAD_OPCODE), BAD_OPCODE),
        ProtocolError,
    ),
    "bad bytes, then a Close, which is not read": (
        [bad_bytes, close_of_the_peer],
        State.FAILED,
        CloseInfo(L, CloseCause.PROTOCOL_ERROR, None, Close(1002, BAD_OPCODE), BAD_OPCODE),
        ProtocolError,
    ),
    "bad bytes, then the end": (
        [bad_bytes, end],
        State.CLOSED,
        CloseInfo(L, CloseCause.PROTOCOL_ERROR, None, Close(1002, BAD_OPCODE), BAD_OPCODE),
        ProtocolError,
    ),
    "bad bytes, then no end in time": (
        [bad_bytes, time_out],
        State.CLOSED,
        CloseInfo(L, CloseCause.PROTOCOL_ERROR, None, Close(1002, BAD_OPCODE), BAD_OPCODE),
        ProtocolError,
    ),
    "a message too big": (
        [too_big],
        State.FAILED,
        CloseInfo(L, CloseCause.LIMIT, None, Close(1009, BIG_BINARY), BIG_BINARY),
        MessageTooBig,
    ),
    "the end": (
        [end],
        State.CLOSED,
        CloseInfo(R, CloseCause.NETWORK, None, None, NO_CLOSE),
        ConnectionLost,
    ),
    "an error": (
        [reset],
        State.CLOSED,
        CloseInfo(R, CloseCause.NETWORK, None, None, "[Errno 104] reset by peer"),
        ConnectionLost,
    ),
    "cancelled": (
        [cancel],
        State.CLOSED,
        CloseInfo(L, CloseCause.CANCELLATION, None, None, "did not wait"),
        ConnectionLost,
    ),
    "ended twice": (
        [end, reset, time_out],
        State.CLOSED,
        CloseInfo(R, CloseCause.NETWORK, None, None, NO_CLOSE),
        ConnectionLost,
    ),
}


@both_roles
@pytest.mark.parametrize("case", ENDINGS)
def test_each_ending_has_its_state_close_info_and_error(role: ConnectionType, case: str) -> None:
    steps, state, info, kind = ENDINGS[case]
    connection = Connection(role, max_message_size=100)
    for step in steps:
        step(connection, role)
    assert connection.state is state
    assert connection.close_info == info
    assert type(connection.error()) is kind
    assert connection.error().close_info == info
    assert str(connection.error()).startswith(str(info))
    assert connection.is_over == (state is State.CLOSED or (state is State.CLOSE_EXCHANGED and role is SERVER))


@both_roles
@pytest.mark.parametrize("case", ENDINGS)
@pytest.mark.parametrize("frame", [Text("a"), Binary(b"a"), Ping(), Pong(), Close(), None], ids=repr)
def test_nothing_is_sent_after_any_ending(role: ConnectionType, case: str, frame: Any) -> None:
    """RFC 6455 §5.5.1; the state is checked before the frame."""
    steps, state, info, kind = ENDINGS[case]
    connection = Connection(role, max_message_size=100)
    for step in steps:
        step(connection, role)
    connection.data_to_send()
    with pytest.raises(WebSocketClosed) as caught:
        connection.send(frame)
    assert type(caught.value) is kind
    assert caught.value.close_info == info
    assert connection.data_to_send() == b""
    assert connection.state is state


@both_roles
@pytest.mark.parametrize("case", ENDINGS)
def test_at_most_one_close_is_sent(role: ConnectionType, case: str) -> None:
    steps, _, info, _ = ENDINGS[case]
    connection = Connection(role, max_message_size=100)
    for step in steps:
        step(connection, role)
    sent = [] if info.sent is None else [CloseConnection(info.sent.code, info.sent.reason)]
    assert heard(connection, role) == sent


@both_roles
@pytest.mark.parametrize("case", ENDINGS)
def test_frames_received_before_an_ending_can_be_taken_after_it(role: ConnectionType, case: str) -> None:
    steps, _, _, _ = ENDINGS[case]
    connection = Connection(role, max_message_size=100)
    connection.receive(frame_to(role, TEXT, b"a") + frame_to(role, PING, b"b"))
    before = list(connection.queue)
    for step in steps:
        if step not in (bad_bytes, too_big):  # these two take the frames
            step(connection, role)
    assert take(connection)[:2] == before


@both_roles
@pytest.mark.parametrize("case", [case for case, ending in ENDINGS.items() if ending[1] is State.CLOSED])
def test_nothing_is_read_after_the_end(role: ConnectionType, case: str) -> None:
    steps, _, info, _ = ENDINGS[case]
    connection = Connection(role, max_message_size=100)
    for step in steps:
        step(connection, role)
    take(connection)
    connection.data_to_send()
    connection.receive(frame_to(role, TEXT, b"late") + close_to(role, 1000) + b"\xff")
    connection.receive_eof()
    connection.abort(CloseCause.TIMEOUT, "late")
    assert take(connection) == []
    assert connection.state is State.CLOSED
    assert connection.close_info == info
    assert connection.data_to_send() == b""


def test_an_incomplete_frame_at_eof_is_dropped() -> None:
    for opcode in (TEXT, BINARY, PING):
        connection = Connection(CLIENT)
        connection.receive(frame_to(CLIENT, TEXT, b"a") + frame_to(CLIENT, opcode, b"bcd")[:-1])
        connection.receive_eof()
        assert take(connection) == [Text("a")]
        assert isinstance(connection.error(), ConnectionLost)


def test_a_network_error_is_the_cause_of_the_error_for_the_caller() -> None:
    connection, error = Connection(CLIENT), ConnectionResetError("reset")
    connection.receive_eof(error)
    for _ in range(2):
        lost = connection.error()
        assert isinstance(lost, ConnectionLost)
        assert lost.__cause__ is error
    ended = Connection(CLIENT)
    ended.receive_eof()
    assert ended.error().__cause__ is None


def test_each_call_of_error_returns_a_new_exception() -> None:
    """An exception that two threads raise would have the tracebacks of both."""
    connection = Connection(CLIENT)
    connection.receive_eof()
    assert connection.error() is not connection.error()


@pytest.mark.parametrize("later", [None, OSError("bad file descriptor")])
def test_the_first_end_is_reported_even_if_another_follows(later: Exception | None) -> None:
    """Aborting the socket makes a reader in another thread see a second end."""
    first = ConnectionResetError("reset")
    connection = Connection(CLIENT)
    connection.receive_eof(first)
    connection.receive_eof(later)
    assert connection.error().__cause__ is first
    aborted = Connection(CLIENT)
    aborted.abort(CloseCause.TIMEOUT, "no Close within 10 seconds")
    aborted.receive_eof(later)
    assert aborted.error().__cause__ is None
