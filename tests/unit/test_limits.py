"""The limits on a message: its size, compressed or not, and the number of its fragments."""

from __future__ import annotations

import tracemalloc

import pytest
from wsproto import ConnectionType

from polysocket._core.states import State
from polysocket.errors import MessageTooBig
from polysocket.frames import Binary, Text
from tests.connections import (
    BINARY,
    CLIENT,
    CONT,
    KEY,
    PING,
    RSV1,
    SERVER,
    TEXT,
    both_roles,
    connect,
    deflated,
    failure,
    frame_to,
    huge_header,
    receive,
    take,
)

BIG = "a message of at least {} bytes, over the limit of {}"


@both_roles
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("limit", [1, 125, 126, 1000, 65536])
def test_a_message_of_exactly_the_limit_is_received_and_a_longer_one_is_refused(
    role: ConnectionType, opcode: int, limit: int
) -> None:
    connection = connect(role, limit)
    whole = frame_to(role, opcode, b"a" * limit)
    first = frame_to(role, opcode, b"a" * (limit // 2), fin=False) + frame_to(role, PING, bytes(125))
    rest = frame_to(role, CONT, b"a" * (limit - limit // 2))
    frames = receive(connection, whole + first + rest + whole)
    assert sum(len(frame.payload) for frame in frames if isinstance(frame, Text | Binary)) == 3 * limit
    assert connection.state is State.OPEN
    assert receive(connection, frame_to(role, opcode, b"a" * (limit + 1))) == []
    assert failure(connection) == (1009, BIG.format(limit + 1, limit))


@both_roles
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_a_message_that_is_too_big_is_refused_from_its_header(role: ConnectionType, opcode: int) -> None:
    data = frame_to(role, opcode, bytes(100_000))
    header = data[: len(data) - 100_000]
    for cut in range(len(header)):
        connection = connect(role, 99_999)
        connection.receive(header[:cut])
        assert connection.failure is None
        connection.receive(header[cut:])
        assert connection.failure is not None
        assert take(connection) == []
        assert failure(connection) == (1009, BIG.format(100_000, 99_999))


@both_roles
def test_the_limit_is_for_all_fragments_of_a_message_together(role: ConnectionType) -> None:
    connection = connect(role, 10)
    assert receive(connection, frame_to(role, TEXT, b"aaaa", fin=False)) == [Text("aaaa", final=False)]
    assert receive(connection, frame_to(role, CONT, b"aaaaaa", fin=False)) == [Text("aaaaaa", final=False)]
    assert receive(connection, frame_to(role, CONT, b"", fin=False)) == [Text("", final=False)]
    assert receive(connection, frame_to(role, CONT, b"a", fin=False)) == []
    assert failure(connection) == (1009, BIG.format(11, 10))


@both_roles
def test_the_limit_counts_bytes_and_not_characters(role: ConnectionType) -> None:
    assert receive(connect(role, 4), frame_to(role, TEXT, "𝄞".encode())) == [Text("𝄞")]
    connection = connect(role, 3)
    receive(connection, frame_to(role, TEXT, "𝄞".encode()))
    assert failure(connection)[0] == 1009


@both_roles
@pytest.mark.parametrize("chunk", [None, 1, 7])
def test_the_limit_is_for_the_inflated_size_of_a_compressed_message(role: ConnectionType, chunk: int | None) -> None:
    exact, over = deflated(b"a" * 1000), deflated(b"a" * 1001)
    connection = connect(role, 1000, compressed=True)
    data = (
        frame_to(role, BINARY, exact, rsv=RSV1)
        + frame_to(role, BINARY, exact[:3], fin=False, rsv=RSV1)
        + frame_to(role, CONT, exact[3:])
    )
    frames = receive(connection, data, chunk)
    assert sum(len(frame.payload) for frame in frames if isinstance(frame, Binary)) == 2000
    assert receive(connection, frame_to(role, BINARY, over, rsv=RSV1), chunk) == []
    assert failure(connection) == (1009, "a message inflates to more than 1000 bytes")


@both_roles
@pytest.mark.parametrize("chunk", [None, 1, 7])
def test_a_continuation_outside_a_message_is_out_of_order_before_it_is_too_large(
    role: ConnectionType, chunk: int | None
) -> None:
    connection = connect(role, 5, compressed=True)
    receive(connection, frame_to(role, BINARY, deflated(b"hello"), rsv=RSV1), chunk)
    receive(connection, huge_header(role, 2**16, first=0x00), chunk)
    assert failure(connection)[0] == 1002


@both_roles
def test_a_compressed_message_may_be_longer_on_the_wire_than_the_limit(role: ConnectionType) -> None:
    """Noise does not compress, and empty blocks inflate to nothing."""
    payload = b"\x00\x00\x00\xff\xff" * 50 + deflated(b"a" * 10)
    connection = connect(role, 10, compressed=True)
    assert receive(connection, frame_to(role, BINARY, payload, rsv=RSV1), 3) == [Binary(b"a" * 10)]


@both_roles
@pytest.mark.parametrize("payload", [b"", b"a"], ids=["empty", "not empty"])
def test_a_message_of_too_many_fragments_fails_the_connection(role: ConnectionType, payload: bytes) -> None:
    """An empty fragment costs its sender two bytes, and its receiver an object."""
    connection = connect(role, 2000)
    connection.queue.limit(None, None)
    begin, more = (frame_to(role, opcode, payload, fin=False) for opcode in (TEXT, CONT))
    whole = begin + more * 1022 + frame_to(role, PING) + frame_to(role, CONT, payload)
    assert len(receive(connection, whole * 3)) == 3 * 1025
    assert len(receive(connection, begin + more * 1022 + frame_to(role, PING) + more)) == 1025
    assert connection.state is State.OPEN
    assert receive(connection, more) == []
    code, detail = failure(connection)
    assert code == 1009
    assert detail.startswith("a message of more than 1024 fragments")


@pytest.mark.parametrize("ending", [b"", b"a"], ids=["empty", "not empty"])
def test_the_fragments_of_each_message_are_counted_separately(ending: bytes) -> None:
    connection = connect(CLIENT, 1000)
    connection.queue.limit(None, None)
    begin = frame_to(CLIENT, BINARY, b"a", fin=False) + frame_to(CLIENT, CONT, fin=False) * 600
    assert len(receive(connection, begin + frame_to(CLIENT, CONT, ending))) == 602
    assert len(receive(connection, begin + frame_to(CLIENT, CONT, b"a"))) == 602
    assert connection.state is State.OPEN


@both_roles
@pytest.mark.parametrize(
    ("limit", "most"), [(1, 1024), (256 * 1024, 1024), (256 * 1025, 1025), (1024 * 1024, 4096), (None, None)]
)
def test_the_limit_of_fragments_grows_with_that_of_bytes(
    role: ConnectionType, limit: int | None, most: int | None
) -> None:
    connection = connect(role, limit)
    connection.queue.limit(None, None)
    fragments = [frame_to(role, BINARY, fin=False), *[frame_to(role, CONT, fin=False)] * ((most or 5000) - 1)]
    assert len(receive(connection, b"".join(fragments))) == len(fragments)
    assert connection.state is State.OPEN
    receive(connection, frame_to(role, CONT))
    assert connection.state is (State.OPEN if most is None else State.FAILED)


@both_roles
def test_a_limit_of_none_allows_any_size(role: ConnectionType) -> None:
    connection = connect(role, None)
    data = frame_to(role, BINARY, bytes(70_000)) + frame_to(role, TEXT, b"a" * 70_000, fin=False)
    assert [len(frame.payload) for frame in receive(connection, data) if isinstance(frame, Text | Binary)] == [
        70_000
    ] * 2
    packed = deflated(bytes(2_000_000))
    (frame,) = receive(connect(role, None, compressed=True), frame_to(role, BINARY, packed, rsv=RSV1))
    assert frame == Binary(bytes(2_000_000))


@both_roles
@pytest.mark.parametrize("size", [2**63 - 1, 2**62])
def test_without_a_limit_the_largest_frame_of_the_rfc_may_start(role: ConnectionType, size: int) -> None:
    """RFC 6455 §5.2."""
    connection = connect(role, None)
    assert receive(connection, huge_header(role, size, first=0x81) + (KEY if role is SERVER else bytes(4))) == []
    assert connection.state is State.OPEN
    assert connection.failure is None


def test_the_error_carries_the_limit() -> None:
    connection = connect(CLIENT, 10)
    receive(connection, frame_to(CLIENT, TEXT, b"a" * 11))
    error = connection.error()
    assert isinstance(error, MessageTooBig)
    assert error.limit == 10
    assert str(error) == (
        "closed by this side because of a limit (a message of at least 11 bytes, over the limit of 10); "
        "no Close received, sent 1009 (message too big); max_message_size=… raises the limit of 10 bytes"
    )


def test_an_endless_frame_that_inflates_to_nothing_uses_no_memory() -> None:
    """A frame may have 2⁶³ bytes (RFC 6455 §5.2); an empty stored block has five (RFC 7692 §7.2.3.6)."""
    connection = connect(CLIENT, 1000, compressed=True)
    connection.receive(huge_header(CLIENT, 2**62, first=0xC2))
    block = b"\x00\x00\x00\xff\xff"
    connection.receive(block * 100)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(10_000):
            connection.receive(block)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert connection.failure is None
    assert after - before < 20_000
