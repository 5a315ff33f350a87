"""Bytes that break RFC 6455 or RFC 7692 fail the connection with the right close code, at the first wrong byte."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from wsproto import ConnectionType
from wsproto.events import CloseConnection

from polysocket._core.failure import invalid_payload
from polysocket._core.states import State
from polysocket.close_info import CloseCause, CloseInfo, Side
from polysocket.errors import ProtocolError
from polysocket.frames import Close, Text
from tests.connections import (
    BINARY,
    CLIENT,
    CLOSE,
    CONT,
    PING,
    PONG,
    RSV1,
    RSV2,
    RSV3,
    TEXT,
    both_roles,
    close_to,
    connect,
    deflated,
    failure,
    frame_to,
    heard,
    huge_header,
    other,
    receive,
)


def reserved(opcode: int) -> Callable[[ConnectionType], bytes]:
    return lambda role: frame_to(role, opcode)


WIDE = " bytes, more than it needs"
BAD: dict[str, tuple[Callable[[ConnectionType], bytes], int, str]] = {
    "RSV1 without an extension (§5.2)": (
        lambda role: frame_to(role, TEXT, b"a", rsv=RSV1),
        1002,
        "a reserved bit is set",
    ),
    "RSV2 (§5.2)": (lambda role: frame_to(role, TEXT, b"a", rsv=RSV2), 1002, "a reserved bit is set"),
    "RSV3 (§5.2)": (lambda role: frame_to(role, BINARY, b"a", rsv=RSV3), 1002, "a reserved bit is set"),
    "RSV1 on a Ping (§5.2)": (lambda role: frame_to(role, PING, rsv=RSV1), 1002, "a reserved bit is set"),
    **{
        f"opcode {opcode:#x} (§5.2)": (reserved(opcode), 1002, "reserved opcode")
        for opcode in (*range(0x3, 0x8), *range(0xB, 0x10))
    },
    "7 bits of length in 16 (§5.2)": (lambda role: frame_to(role, TEXT, b"a", width=2), 1002, WIDE),
    "7 bits of length in 64 (§5.2)": (lambda role: frame_to(role, BINARY, b"a", width=8), 1002, WIDE),
    "16 bits of length in 64 (§5.2)": (lambda role: frame_to(role, TEXT, b"a" * 126, width=8), 1002, WIDE),
    "a fragmented Ping (§5.5)": (lambda role: frame_to(role, PING, fin=False), 1002, "a fragmented control frame"),
    "a fragmented Close (§5.5)": (lambda role: frame_to(role, CLOSE, fin=False), 1002, "a fragmented control frame"),
    "a Ping of 126 bytes (§5.5)": (lambda role: frame_to(role, PING, bytes(126)), 1002, "of more than 125 bytes"),
    "a Pong of 64 KiB (§5.5)": (lambda role: frame_to(role, PONG, bytes(65536)), 1002, "of more than 125 bytes"),
    "a Close of 126 bytes (§5.5)": (
        lambda role: close_to(role, 1000, b"a" * 124),
        1002,
        "a control frame (CLOSE) of more than 125 bytes",
    ),
    "wrong masking (§5.1)": (lambda role: frame_to(other(role), TEXT, b"a"), 1002, "mask"),
    "wrong masking of an empty frame (§5.1)": (lambda role: frame_to(other(role), PING), 1002, "mask"),
    "a continuation without a message (§5.4)": (
        lambda role: frame_to(role, CONT, b"a"),
        1002,
        "outside a fragmented message",
    ),
    "a message within another (§5.4)": (
        lambda role: frame_to(role, TEXT, b"a", fin=False) + frame_to(role, TEXT, b"b"),
        1002,
        "a TEXT frame, but a continuation",
    ),
    "a continuation after the final fragment (§5.4)": (
        lambda role: frame_to(role, TEXT, b"a", fin=False) + frame_to(role, CONT, b"b") + frame_to(role, CONT, b"c"),
        1002,
        "outside a fragmented message",
    ),
    "a Close of one byte (§5.5.1)": (
        lambda role: frame_to(role, CLOSE, b"\x03"),
        1002,
        "a payload of 1 byte",
    ),
    "a reason not in UTF-8 (§5.5.1)": (
        lambda role: close_to(role, 1000, b"\xff"),
        1007,
        "a Close with a reason that is not UTF-8",
    ),
    "bad UTF-8 (§8.1)": (lambda role: frame_to(role, TEXT, b"a\xff"), 1007, "invalid start byte"),
    "a surrogate in UTF-8 (§8.1)": (lambda role: frame_to(role, TEXT, b"\xed\xa0\x80"), 1007, "continuation byte"),
    "a character cut by the message's end (§8.1)": (
        lambda role: frame_to(role, TEXT, b"\xf0\x9d", fin=False) + frame_to(role, CONT, b"\x84"),
        1007,
        "unexpected end of data",
    ),
    "bad UTF-8 across two fragments (§8.1)": (
        lambda role: frame_to(role, TEXT, b"\xc3", fin=False) + frame_to(role, CONT, b"\x28", fin=False),
        1007,
        "invalid continuation byte",
    ),
}


@both_roles
@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("chunk", [None, 1], ids=["at once", "byte by byte"])
def test_a_violation_of_rfc_6455_fails_the_connection_with_its_close_code(
    role: ConnectionType, case: str, chunk: int | None
) -> None:
    make, code, detail = BAD[case]
    connection = connect(role)
    frames = receive(connection, frame_to(role, TEXT, b"good") + make(role) + frame_to(role, TEXT, b"late"), chunk)
    assert frames[0] == Text("good")
    assert Text("late") not in frames
    found, explained = failure(connection)
    assert found == code
    assert detail in explained
    assert isinstance(connection.error(), ProtocolError)
    assert [event.code for event in heard(connection, role) if isinstance(event, CloseConnection)] == [code]


@both_roles
@pytest.mark.parametrize(
    ("bad", "code", "detail"),
    [
        ((TEXT, b"\xff\xff\xff", True, RSV1), 1007, "corrupt deflate data"),
        ((PING, b"", True, RSV1), 1002, "RSV1 is set on a PING frame"),
        ((CONT, b"", True, RSV1), 1002, "RSV1 is set on a CONTINUATION frame"),
        ((TEXT, b"", True, RSV1 | RSV2), 1002, "a reserved bit is set"),
        ((TEXT, deflated(b"\xff"), True, RSV1), 1007, "invalid start byte"),
    ],
)
def test_a_violation_of_rfc_7692_fails_the_connection_with_the_reason_of_the_extension(
    role: ConnectionType, bad: tuple[int, bytes, bool, int], code: int, detail: str
) -> None:
    opcode, payload, fin, rsv = bad
    connection = connect(role, compressed=True)
    assert receive(connection, frame_to(role, opcode, payload, fin=fin, rsv=rsv)) == []
    found, explained = failure(connection)
    assert found == code
    assert detail in explained
    assert connection.close_info is not None
    assert connection.close_info.sent == Close(code, explained)


@both_roles
def test_invalid_utf_8_is_detected_at_its_first_byte(role: ConnectionType) -> None:
    """RFC 6455 §8.1, and Autobahn's cases 6.3 and 6.4."""
    whole = frame_to(role, TEXT, b"a" * 10 + b"\xff" + b"a" * 60000)
    head = len(whole) - 60000
    connection = connect(role)
    assert receive(connection, whole[: head - 1]) == []
    assert connection.state is State.OPEN
    receive(connection, whole[head - 1 : head])
    assert failure(connection)[0] == 1007


@both_roles
def test_a_malformed_header_is_detected_before_the_payload_arrives(role: ConnectionType) -> None:
    connection = connect(role)
    receive(connection, frame_to(role, BINARY, bytes(1000), rsv=RSV3)[:8])
    assert failure(connection)[0] == 1002


@both_roles
@pytest.mark.parametrize("limit", [None, 1000], ids=["unlimited", "limited"])
@pytest.mark.parametrize("chunk", [None, 1, 2, 10], ids=["at once", "by 1", "by 2", "by 10"])
@pytest.mark.parametrize(
    ("size", "first"),
    [(2**63, 0x82), (2**64 - 1, 0x81), (2**63 - 1, 0xA2)],
    ids=["highest bit", "all bits", "RSV2"],
)
def test_a_malformed_header_is_a_protocol_error_even_if_the_frame_is_too_big(
    role: ConnectionType, limit: int | None, chunk: int | None, size: int, first: int
) -> None:
    """RFC 6455 §5.2: "the most significant bit MUST be 0"; the verdict is the same in every chunking."""
    connection = connect(role, limit)
    receive(connection, huge_header(role, size, first=first), chunk)
    assert failure(connection)[0] == 1002


@both_roles
@pytest.mark.parametrize(
    "code", [1000, 1001, 1002, 1003, *range(1007, 1014), 3000, 3999, 4000, 4999], ids="received {}".format
)
def test_every_defined_registered_or_private_close_code_is_accepted(role: ConnectionType, code: int) -> None:
    """RFC 6455 §7.4, with 1012 and 1013 of the IANA registry."""
    connection = connect(role)
    assert receive(connection, close_to(role, code, "é".encode())) == [Close(code, "é")]
    assert connection.close_info == CloseInfo(Side.REMOTE, CloseCause.CLOSE, Close(code, "é"), Close(code))
    assert heard(connection, role) == [CloseConnection(code, "")]


@both_roles
def test_close_code_1014_is_accepted(role: ConnectionType) -> None:
    """1014 is in the IANA registry of RFC 6455 §11.7; wsproto 1.3.2 fails the connection with 1002."""
    connection = connect(role)
    assert receive(connection, close_to(role, 1014, b"upstream")) == [Close(1014, "upstream")]
    assert connection.close_info == CloseInfo(Side.REMOTE, CloseCause.CLOSE, Close(1014, "upstream"), Close(1014))
    connection = connect(role)
    connection.send(Close(1014, "upstream"))


@both_roles
@pytest.mark.parametrize("code", [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535])
def test_any_other_close_code_is_a_protocol_error(role: ConnectionType, code: int) -> None:
    """RFC 6455 §7.4.1, §7.4.2."""
    connection = connect(role)
    assert receive(connection, close_to(role, code)) == []
    assert failure(connection)[0] == 1002


def test_the_close_names_the_violation_in_at_most_123_bytes() -> None:
    """RFC 6455 §5.5: 125 bytes, of which two are the code."""
    connection = connect(CLIENT)
    connection.inner.failure = invalid_payload("x" + "é" * 200)
    connection.fail()
    assert failure(connection) == (1007, "x" + "é" * 200)
    assert connection.close_info is not None
    assert connection.close_info.sent == Close(1007, "x" + "é" * 61)
    assert heard(connection, CLIENT) == [CloseConnection(1007, "x" + "é" * 61)]
