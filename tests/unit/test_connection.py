"""A connection promise by promise: bytes to frames, frames to bytes, limits, failing and closing, in both roles.

The other side's bytes are written here by hand, and this side's are read by wsproto. The property tests have the
differential one, which holds the connection against wsproto on every input.
"""

from __future__ import annotations

import tracemalloc
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from wsproto import ConnectionType
from wsproto.connection import Connection as WSProtoConnection
from wsproto.events import BytesMessage, CloseConnection, Event, Message, TextMessage
from wsproto.events import Ping as PingEvent
from wsproto.events import Pong as PongEvent
from wsproto.frame_protocol import CloseReason

from polysocket._core.decoder import MAX_FRAGMENTS
from polysocket._core.deflate import DeflateParameters, PerMessageDeflate, Refused
from polysocket._core.states import State
from polysocket.close_info import CloseCause, CloseInfo, Side
from polysocket.compression import Deflate
from polysocket.errors import BufferFull, InvalidFrame, MessageTooBig, ProtocolError
from polysocket.frames import Binary, Close, CloseCode, Frame, Ping, Pong, Text
from tests.connections import Connection

CLIENT, SERVER = ConnectionType.CLIENT, ConnectionType.SERVER
KEY = b"\x37\xfa\x21\x3d"
CONT, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
RSV1, RSV2, RSV3 = 4, 2, 1
SIZES = [0, 1, 125, 126, 65535, 65536, 70000]

both_roles = pytest.mark.parametrize("role", [CLIENT, SERVER], ids=["client", "server"])


def other(role: ConnectionType) -> ConnectionType:
    return CLIENT if role is SERVER else SERVER


def frame_to(
    role: ConnectionType, opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, width: int | None = None
) -> bytes:
    """A frame as the other side of ``role`` sends it; ``width`` is that of its length, by default the least."""
    size = len(payload)
    if width is None:
        width = 1 if size < 126 else 2 if size < 65536 else 8
    length = bytes([size]) if width == 1 else bytes([126 if width == 2 else 127]) + size.to_bytes(width, "big")
    head = bytes([fin << 7 | rsv << 4 | opcode])
    if role is CLIENT:
        return head + length + payload
    # One XOR over the whole, as slow as it is plain.
    masked = bytes(byte ^ KEY[index % 4] for index, byte in enumerate(payload))
    return head + bytes([length[0] | 0x80]) + length[1:] + KEY + masked


def close_to(role: ConnectionType, code: int | None = None, reason: bytes = b"") -> bytes:
    return frame_to(role, CLOSE, b"" if code is None else code.to_bytes(2, "big") + reason)


def deflated(data: bytes, *, final: bool = False) -> bytes:
    """The data as zlib deflates it: flushed and cut for a message (RFC 7692 §7.2.1), or ended by a final block."""
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(data) + (stream.flush() if final else stream.flush(zlib.Z_SYNC_FLUSH)[:-4])


def connect(role: ConnectionType, limit: int | None = None, *, compressed: bool = False, **limits: Any) -> Connection:
    extension = PerMessageDeflate(role, DeflateParameters(), Deflate(), limit) if compressed else None
    return Connection(role, extension, limit, **limits)


def take(connection: Connection) -> list[Frame | Close]:
    """All frames that are there; where a failure comes behind them, it takes effect."""
    frames = list[Frame | Close]()
    while (frame := connection.next_frame()) is not None:
        frames.append(frame)
    return frames


def receive(connection: Connection, data: bytes, chunk: int | None = None) -> list[Frame | Close]:
    for start in range(0, len(data), chunk or max(len(data), 1)):
        connection.receive(data[start : start + (chunk or len(data))])
    return take(connection)


def heard(connection: Connection, role: ConnectionType, *, compressed: bool = False) -> list[Event]:
    """What wsproto, as the other side of ``role``, hears of the bytes to be sent."""
    extension = PerMessageDeflate(other(role), DeflateParameters(), Deflate(), None)
    judge = WSProtoConnection(other(role), [extension] if compressed else [])
    judge.receive_data(connection.data_to_send())
    return list(judge.events())


def failure(connection: Connection) -> tuple[int, str]:
    """Code and cause of a failed connection, once it has failed and sent the one as its Close."""
    info = connection.close_info
    assert connection.state is State.FAILED
    assert info is not None
    assert info.initiator is Side.LOCAL
    assert info.received is None
    assert info.sent is not None
    assert info.cause in (CloseCause.PROTOCOL_ERROR, CloseCause.LIMIT)
    assert (info.cause is CloseCause.LIMIT) == (info.sent.code == 1009)
    return info.sent.code, info.detail


# Receiving


@both_roles
def test_frames_come_as_they_were_sent(role: ConnectionType) -> None:
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
def test_fragments_come_one_by_one_with_the_control_frames_between_them(role: ConnectionType) -> None:
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
def test_a_frame_that_comes_in_three_chunks_is_one_frame(
    role: ConnectionType, opcode: int, fin: bool, frame: Frame
) -> None:
    data = frame_to(role, opcode, "a𝄞b".encode(), fin=fin)
    for first in range(1, len(data) - 1):
        for second in range(first + 1, len(data)):
            connection = connect(role)
            assert receive(connection, data[:first]) == []
            assert receive(connection, data[first:second]) == []
            assert receive(connection, data[second:]) == [frame]


@both_roles
@pytest.mark.parametrize("size", SIZES)
def test_every_form_of_a_length_is_read_wherever_its_header_is_cut(role: ConnectionType, size: int) -> None:
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
def test_a_character_that_is_cut_by_the_border_of_two_fragments_is_in_the_later_one(role: ConnectionType) -> None:
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
def test_a_compressed_message_is_inflated_and_a_plain_one_may_stand_beside_it(role: ConnectionType) -> None:
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
def test_nothing_is_read_behind_a_close(role: ConnectionType) -> None:
    """RFC 6455 §5.5.1: "The application MUST NOT send any more data frames after sending a Close frame"."""
    connection = connect(role)
    data = close_to(role, 1000) + frame_to(role, TEXT, b"late") + close_to(role, 1001) + b"\xff\xff"
    assert receive(connection, data) == [Close(1000)]
    sent = connection.data_to_send()
    assert receive(connection, frame_to(role, TEXT, b"later") + b"\xff") == []
    assert connection.state is State.CLOSE_EXCHANGED
    assert connection.data_to_send() == b""
    assert sent


# The judgement: RFC 6455 §5 and §7, RFC 7692


def reserved(opcode: int) -> Callable[[ConnectionType], bytes]:
    return lambda role: frame_to(role, opcode)


WIDE = " bytes, more than it needs"
BAD: dict[str, tuple[Callable[[ConnectionType], bytes], int, str]] = {
    "RSV1 that nobody agreed on (§5.2)": (
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
    "a continuation of nothing (§5.4)": (
        lambda role: frame_to(role, CONT, b"a"),
        1002,
        "outside a fragmented message",
    ),
    "a message within another (§5.4)": (
        lambda role: frame_to(role, TEXT, b"a", fin=False) + frame_to(role, TEXT, b"b"),
        1002,
        "a TEXT frame, but a continuation",
    ),
    "a continuation behind the end (§5.4)": (
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
def test_what_breaks_the_rfc_fails_the_connection_with_its_code(
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
def test_what_breaks_rfc_7692_fails_the_connection_with_the_extensions_reason(
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
def test_bad_utf_8_is_found_at_its_first_byte(role: ConnectionType) -> None:
    """Not only once the frame is whole: RFC 6455 §8.1, and Autobahn's cases 6.3 and 6.4."""
    whole = frame_to(role, TEXT, b"a" * 10 + b"\xff" + b"a" * 60000)
    head = len(whole) - 60000
    connection = connect(role)
    assert receive(connection, whole[: head - 1]) == []
    assert connection.state is State.OPEN
    receive(connection, whole[head - 1 : head])
    assert failure(connection)[0] == 1007


@both_roles
def test_a_malformed_header_is_found_before_its_payload_comes(role: ConnectionType) -> None:
    connection = connect(role)
    receive(connection, frame_to(role, BINARY, bytes(1000), rsv=RSV3)[:8])
    assert failure(connection)[0] == 1002


def huge(role: ConnectionType, size: int, *, first: int = 0x82) -> bytes:
    """The header of a frame of any size."""
    if role is CLIENT:
        return bytes([first, 127]) + size.to_bytes(8, "big")
    return bytes([first, 0xFF]) + size.to_bytes(8, "big") + KEY


@both_roles
@pytest.mark.parametrize("limit", [None, 1000], ids=["unlimited", "limited"])
@pytest.mark.parametrize("chunk", [None, 1, 2, 10], ids=["at once", "by 1", "by 2", "by 10"])
@pytest.mark.parametrize(
    ("size", "first"),
    [(2**63, 0x82), (2**64 - 1, 0x81), (2**63 - 1, 0xA2)],
    ids=["highest bit", "all bits", "RSV2"],
)
def test_a_header_that_is_malformed_is_a_protocol_error_and_not_too_big(
    role: ConnectionType, limit: int | None, chunk: int | None, size: int, first: int
) -> None:
    """RFC 6455 §5.2: "the most significant bit MUST be 0"; in every chunking the verdict is the same."""
    connection = connect(role, limit)
    receive(connection, huge(role, size, first=first), chunk)
    assert failure(connection)[0] == 1002


@both_roles
@pytest.mark.parametrize(
    "code", [1000, 1001, 1002, 1003, *range(1007, 1014), 3000, 3999, 4000, 4999], ids="received {}".format
)
def test_every_code_of_the_rfc_and_of_the_free_ranges_is_received(role: ConnectionType, code: int) -> None:
    """RFC 6455 §7.4, with 1012 and 1013 of the IANA registry."""
    connection = connect(role)
    assert receive(connection, close_to(role, code, "é".encode())) == [Close(code, "é")]
    assert connection.close_info == CloseInfo(Side.REMOTE, CloseCause.CLOSE, Close(code, "é"), Close(code))
    assert heard(connection, role) == [CloseConnection(code, "")]


@both_roles
def test_a_bad_gateway_is_a_close_like_any_other(role: ConnectionType) -> None:
    """1014 is in the IANA registry that RFC 6455 §11.7 founds; wsproto 1.3.2 fails the connection with 1002."""
    connection = connect(role)
    assert receive(connection, close_to(role, 1014, b"upstream")) == [Close(1014, "upstream")]
    assert connection.close_info == CloseInfo(Side.REMOTE, CloseCause.CLOSE, Close(1014, "upstream"), Close(1014))
    connection = connect(role)
    connection.send(Close(1014, "upstream"))


@both_roles
@pytest.mark.parametrize("code", [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535])
def test_no_other_code_is_received(role: ConnectionType, code: int) -> None:
    """RFC 6455 §7.4.1, §7.4.2."""
    connection = connect(role)
    assert receive(connection, close_to(role, code)) == []
    assert failure(connection)[0] == 1002


def test_what_was_wrong_is_told_in_the_close_as_far_as_it_has_room() -> None:
    """RFC 6455 §5.5: 125 bytes, of which two are the code."""

    def refuse(_: bytes) -> bytes:
        raise Refused(CloseReason.INVALID_FRAME_PAYLOAD_DATA, "x" + "é" * 200)

    extension = PerMessageDeflate(CLIENT, DeflateParameters(), Deflate(), None)
    extension.decompress = refuse
    connection = Connection(CLIENT, extension)
    receive(connection, frame_to(CLIENT, TEXT, b"\xff", rsv=RSV1))
    assert failure(connection) == (1007, "x" + "é" * 200)
    assert connection.close_info is not None
    assert connection.close_info.sent == Close(1007, "x" + "é" * 61)
    assert heard(connection, CLIENT) == [CloseConnection(1007, "x" + "é" * 61)]


# What wsproto lacks


def test_a_few_bytes_are_not_inflated_without_a_bound() -> None:
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
def test_a_ping_between_two_fragments_of_a_compressed_message_breaks_nothing(role: ConnectionType) -> None:
    """RFC 7692 §6.1 with RFC 6455 §5.4; wsproto 1.3.2 forgets that the message is compressed, and closes with 1007."""
    hello = bytes.fromhex("f2 48 cd c9 c9 07 00")  # RFC 7692 §7.2.3.1
    data = frame_to(role, TEXT, hello[:3], fin=False, rsv=RSV1) + frame_to(role, PING) + frame_to(role, CONT, hello[3:])
    frames = receive(connect(role, compressed=True), data)
    assert [type(frame) for frame in frames] == [Text, Ping, Text]
    assert "".join(frame.payload for frame in frames if isinstance(frame, Text)) == "Hello"


@both_roles
def test_a_final_deflate_block_does_not_end_the_stream_of_messages(role: ConnectionType) -> None:
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
    """RFC 6455 §7.1.7; wsproto 1.3.2 stays OPEN after a parse error and buffers whatever comes."""
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


def test_a_verdict_is_not_taken_for_a_close_of_the_other_side() -> None:
    """RFC 6455 §7.1.5, §7.1.7; wsproto 1.3.2 tells of both by the same event, CloseConnection."""
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
def test_a_code_that_may_not_be_on_the_wire_is_refused(code: int) -> None:
    """RFC 6455 §7.4; wsproto 1.3.2 sends 1000 for 1006 and 1015, and others as they are."""
    with pytest.raises(InvalidFrame):
        connect(SERVER).send(Close(code))


def test_a_reason_that_is_too_long_is_refused() -> None:
    """RFC 6455 §5.5; wsproto 1.3.2 cuts it in silence."""
    with pytest.raises(InvalidFrame):
        connect(SERVER).send(Close(1000, "é" * 62))


def test_a_new_message_does_not_silently_continue_an_open_one() -> None:
    """RFC 6455 §5.4; wsproto 1.3.2 sends it as the next fragment."""
    connection = connect(SERVER)
    connection.send(Text("a", final=False))
    with pytest.raises(InvalidFrame):
        connection.send(Text("b"))


# Deferred failure


@both_roles
def test_frames_before_the_bad_bytes_can_be_taken_and_answered_before_the_failure(role: ConnectionType) -> None:
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
def test_a_failure_can_be_made_due_at_once_and_the_frames_before_it_stay(role: ConnectionType) -> None:
    connection = connect(role)
    connection.receive(frame_to(role, TEXT, b"a") + b"\xff\xff")
    connection.fail()
    assert failure(connection)[0] == 1002
    assert connection.data_to_send()
    connection.fail()
    assert connection.data_to_send() == b""
    assert connection.next_frame() == Text("a")
    assert connection.next_frame() is None


def test_where_nothing_is_wrong_there_is_nothing_to_fail() -> None:
    connection = connect(CLIENT)
    connection.fail()
    assert connection.failure is None
    assert connection.state is State.OPEN
    assert connection.next_frame() is None
    assert connection.close_info is None


def test_own_close_goes_out_once_where_the_failure_comes_behind_it() -> None:
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
def test_an_end_does_not_hide_the_failure_before_it(end: Callable[[Connection], None]) -> None:
    connection = connect(CLIENT)
    connection.receive(frame_to(CLIENT, TEXT, b"a") + b"\xff\xff")
    end(connection)
    assert take(connection) == [Text("a")]
    assert connection.state is State.CLOSED
    error = connection.error()
    assert isinstance(error, ProtocolError)
    assert error.close_info.sent is not None
    assert error.close_info.sent.code == 1002


def test_who_discards_does_not_wait_for_a_failure() -> None:
    connection = connect(CLIENT)
    connection.receive(frame_to(CLIENT, TEXT, b"a") + b"\xff\xff")
    connection.drop_incoming()
    assert failure(connection)[0] == 1002
    assert take(connection) == [Text("a")]


@both_roles
def test_who_discards_keeps_what_came_before_and_then_only_the_close(role: ConnectionType) -> None:
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


# Limits

BIG = "a message of at least {} bytes, over the limit of {}"


@both_roles
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("limit", [1, 125, 126, 1000, 65536])
def test_a_message_of_exactly_the_limit_passes_and_one_byte_more_does_not(
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
def test_a_message_too_big_fails_on_its_header_before_a_byte_of_it_comes(role: ConnectionType, opcode: int) -> None:
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
def test_fragments_are_too_big_together(role: ConnectionType) -> None:
    connection = connect(role, 10)
    assert receive(connection, frame_to(role, TEXT, b"aaaa", fin=False)) == [Text("aaaa", final=False)]
    assert receive(connection, frame_to(role, CONT, b"aaaaaa", fin=False)) == [Text("aaaaaa", final=False)]
    assert receive(connection, frame_to(role, CONT, b"", fin=False)) == [Text("", final=False)]
    assert receive(connection, frame_to(role, CONT, b"a", fin=False)) == []
    assert failure(connection) == (1009, BIG.format(11, 10))


@both_roles
def test_the_limit_is_in_bytes_and_not_in_characters(role: ConnectionType) -> None:
    assert receive(connect(role, 4), frame_to(role, TEXT, "𝄞".encode())) == [Text("𝄞")]
    connection = connect(role, 3)
    receive(connection, frame_to(role, TEXT, "𝄞".encode()))
    assert failure(connection)[0] == 1009


@both_roles
@pytest.mark.parametrize("chunk", [None, 1, 7])
def test_a_compressed_message_is_measured_while_it_is_inflated(role: ConnectionType, chunk: int | None) -> None:
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
def test_a_compressed_message_may_be_longer_on_the_wire_than_the_limit(role: ConnectionType) -> None:
    """Noise does not compress, and empty blocks inflate to nothing: what counts is what comes out."""
    payload = b"\x00\x00\x00\xff\xff" * 50 + deflated(b"a" * 10)
    connection = connect(role, 10, compressed=True)
    assert receive(connection, frame_to(role, BINARY, payload, rsv=RSV1), 3) == [Binary(b"a" * 10)]


@both_roles
@pytest.mark.parametrize("payload", [b"", b"a"], ids=["empty", "not empty"])
def test_a_message_of_too_many_fragments_fails(role: ConnectionType, payload: bytes) -> None:
    """An empty fragment costs its sender two bytes, and this side an object."""
    connection = connect(role, 1000, max_fragments=3)
    begin, more = (frame_to(role, opcode, payload, fin=False) for opcode in (TEXT, CONT))
    whole = begin + more + frame_to(role, PING) + frame_to(role, CONT, payload)
    assert len(receive(connection, whole * 3)) == 12
    assert len(receive(connection, begin + more + frame_to(role, PING) + more)) == 4
    assert connection.state is State.OPEN
    assert receive(connection, more) == []
    code, detail = failure(connection)
    assert code == 1009
    assert detail.startswith("a message of more than 3 fragments")


@pytest.mark.parametrize("ending", [b"", b"a"], ids=["empty", "not empty"])
def test_the_fragments_of_a_message_are_counted_from_its_first(ending: bytes) -> None:
    connection = connect(CLIENT, 1000, max_fragments=2)
    begin = frame_to(CLIENT, BINARY, b"a", fin=False)
    assert len(receive(connection, begin + frame_to(CLIENT, CONT, ending))) == 2
    assert len(receive(connection, begin + frame_to(CLIENT, CONT, b"a"))) == 2
    assert connection.state is State.OPEN


def test_by_default_a_message_has_many_fragments_but_not_endlessly_many() -> None:
    assert 1000 < MAX_FRAGMENTS < 1_000_000
    fragments = frame_to(CLIENT, BINARY, fin=False) + frame_to(CLIENT, CONT, fin=False) * 2000
    connection = connect(CLIENT, 10)
    assert len(receive(connection, fragments)) == 2001
    assert connection.state is State.OPEN


@both_roles
def test_none_is_no_limit(role: ConnectionType) -> None:
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
def test_without_a_limit_the_largest_frame_of_the_rfc_may_begin(role: ConnectionType, size: int) -> None:
    """RFC 6455 §5.2."""
    connection = connect(role, None)
    assert receive(connection, huge(role, size, first=0x81) + (KEY if role is SERVER else bytes(4))) == []
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


def test_a_frame_that_inflates_to_nothing_and_never_ends_holds_no_memory() -> None:
    """RFC 6455 §5.2 lets it have 2⁶³ bytes, and an empty stored block has five (RFC 7692 §7.2.3.6)."""
    connection = connect(CLIENT, 1000, compressed=True)
    connection.receive(huge(CLIENT, 2**62, first=0xC2))
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


# Holding back


@both_roles
def test_bytes_that_inflate_to_many_messages_are_held_back_and_nothing_is_lost(role: ConnectionType) -> None:
    message = frame_to(role, BINARY, deflated(bytes(100_000)), rsv=RSV1)
    connection = connect(role, 1_000_000, compressed=True)
    connection.queue.limit(None, 250_000)
    connection.receive(message * 20 + close_to(role, 1000))
    assert connection.queue.is_full
    assert connection.holds_bytes
    assert len(connection.queue.frames) == 3
    frames = list[Frame | Close]()
    for _ in range(100):
        frames += take(connection)
        assert not connection.queue.is_full
        if not connection.holds_bytes:
            break
        connection.receive(b"")
        assert len(connection.queue.frames) <= 3
    assert frames == [Binary(bytes(100_000))] * 20 + [Close(1000)]
    assert connection.state is State.CLOSE_EXCHANGED


@both_roles
def test_bytes_that_come_while_others_are_held_go_behind_them(role: ConnectionType) -> None:
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
def test_a_failure_behind_held_bytes_comes_in_its_turn(role: ConnectionType) -> None:
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
    """Each costs its sender two bytes and this side an object: without an end to them, memory has none.

    Who waits for a Pong reads, and takes none of them.
    """
    connection = connect(CLIENT, 1024 * 1024)
    for _ in range(128):
        connection.receive(frame_to(CLIENT, opcode) * 1024)
        if connection.queue.is_full:
            break
    assert connection.queue.is_full


def test_a_connection_is_not_full_once_all_is_taken() -> None:
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
def test_frames_may_be_bounded_by_their_number(role: ConnectionType, opcode: int) -> None:
    connection = connect(role)
    connection.queue.limit(3, None)
    frames = list[Frame | Close]()
    connection.receive(frame_to(role, opcode, b"a") * 10)
    for left in (7, 4, 1, 0):
        assert len(connection.queue.frames) == min(3, 10 - len(frames))
        assert connection.queue.is_full == (len(connection.queue.frames) == 3)
        assert connection.holds_bytes == (left > 0)
        frames += take(connection)
        connection.receive(b"")
    assert frames == [Text("a") if opcode == TEXT else Ping(b"a")] * 10


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


def test_receive_returns_the_frames_that_are_new() -> None:
    connection = connect(CLIENT)
    assert connection.receive(frame_to(CLIENT, TEXT, b"a") * 2) == [Text("a"), Text("a")]
    assert connection.receive(frame_to(CLIENT, PING) + frame_to(CLIENT, TEXT, b"b")[:2]) == [Ping()]
    assert connection.receive(b"b" + close_to(CLIENT, 1000)) == [Text("b"), Close(1000)]
    assert connection.receive(frame_to(CLIENT, PING)) == []


def test_the_queue_counts_the_bytes_of_a_text_in_utf_8() -> None:
    connection = connect(CLIENT)
    connection.queue.limit(None, 4000, 0)
    connection.receive(frame_to(CLIENT, TEXT, "𝄞".encode() * 500) * 3)
    assert len(connection.queue.frames) == 2
    assert connection.queue.size == 4000
    take(connection)
    assert connection.queue.size == 0


def test_bytes_that_wait_for_room_are_not_copied_for_each_frame_that_is_taken() -> None:
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
def test_an_overflow_fails_the_connection_behind_what_is_kept(bound: tuple[int | None, int | None]) -> None:
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
def test_what_waits_is_not_too_much_once_nothing_more_will_come(end: str) -> None:
    """Else a buffer would overflow by the Close behind its last frame, or twice."""
    connection = connect(CLIENT)
    connection.queue.limit(3, 30_000)
    connection.receive(frame_to(CLIENT, TEXT, b"a" * 10_000) * 2)
    ENDS[end](connection)
    connection.queue.limit(2, 20_000)
    assert len(connection.queue.frames) >= 2
    assert not connection.queue.is_full
    assert not connection.holds_bytes


def test_who_discards_holds_nothing_back() -> None:
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


# Sending


def events_of(frames: Sequence[tuple[Frame, bool]]) -> list[Event]:
    """The events by which wsproto tells of these frames, each with whether it continues a message."""
    events = list[Event]()
    for frame, _ in frames:
        match frame:
            case Text(payload, final):
                events.append(TextMessage(payload, message_finished=final))
            case Binary(payload, final):
                events.append(BytesMessage(payload, message_finished=final))
            case Ping(payload):
                events.append(PingEvent(payload))
            case Pong(payload):
                events.append(PongEvent(payload))
    return events


CONVERSATION: list[tuple[Frame, bool]] = [
    (Text("𝄞é"), False),
    (Binary(b"\x00\xff"), False),
    (Text(""), False),
    (Text("a", final=False), False),
    (Ping(b"1"), False),
    (Text("", final=False), True),
    (Pong(), False),
    (Text("b"), True),
    (Binary(b"", final=False), False),
    (Binary(b""), True),
    *[(Binary(bytes(size)), False) for size in SIZES],
    *[(Text("a" * size), False) for size in SIZES],
    (Ping(bytes(125)), False),
]


@both_roles
@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "compressed"])
def test_what_is_sent_is_what_wsproto_hears(role: ConnectionType, compressed: bool) -> None:
    connection = connect(role, compressed=compressed)
    for frame, is_continuation in CONVERSATION:
        connection.send(frame, is_continuation)
        assert connection.open_message == (isinstance(frame, Text | Binary) and not frame.final) or isinstance(
            frame, Ping | Pong
        )
    assert joined(heard(connection, role, compressed=compressed)) == events_of(CONVERSATION)
    assert connection.data_to_send() == b""
    assert connection.state is State.OPEN


def joined(events: list[Event]) -> list[Event]:
    """Whole frames, as they were sent: wsproto gives them in pieces where it likes."""
    whole, pieces = list[Event](), list[Any]()
    for event in events:
        if not isinstance(event, Message):
            whole.append(event)
            continue
        pieces.append(event.data)
        if event.frame_finished:
            empty = "" if isinstance(event, TextMessage) else b""
            whole.append(type(event)(empty.join(pieces), message_finished=event.message_finished))
            pieces.clear()
    return whole


def test_a_server_masks_nothing_and_a_client_everything_with_a_fresh_key() -> None:
    """RFC 6455 §5.1, §5.3."""
    frames: list[Frame | Close] = [Text("a"), Binary(b"a"), Binary(b"a"), Ping(b"a"), Pong(b"a"), Close(1000)]
    keys = set[bytes]()
    for role in (CLIENT, SERVER):
        connection = connect(role)
        for frame in frames:
            connection.send(frame)
            data = connection.data_to_send()
            assert bool(data[1] & 0x80) == (role is CLIENT)
            if role is CLIENT:
                keys.add(data[2:6])
    assert len(keys) == len(frames)


def test_bytes_to_be_sent_are_given_once_and_in_order() -> None:
    connection = connect(SERVER)
    assert connection.data_to_send() == b""
    connection.send(Text("a"))
    connection.send(Ping(b"b"))
    connection.send(Binary(b"c"))
    data = connection.data_to_send()
    assert data == b"\x81\x01a\x89\x01b\x82\x01c"
    assert type(data) is bytes
    assert connection.data_to_send() == b""


@pytest.mark.parametrize("kind", [Binary, Ping, Pong])
def test_bytes_may_be_in_any_buffer_and_are_copied_at_once(kind: Any) -> None:
    connection = connect(SERVER)
    changing = bytearray(b"abcd")
    for buffer in (changing, memoryview(changing), memoryview(b"a?b?c?d?")[::2]):
        connection.send(kind(buffer))
    changing[:] = b"????"
    data = connection.data_to_send()
    assert [data[start : start + 4] for start in (2, 8, 14)] == [b"abcd"] * 3


def test_an_open_message_is_told_until_it_is_ended() -> None:
    connection = connect(CLIENT)
    assert not connection.open_message
    connection.send(Text("a"))
    assert not connection.open_message
    connection.send(Text("a", final=False))
    assert connection.open_message
    connection.send(Ping())
    connection.send(Text("b", final=False), is_continuation=True)
    assert connection.open_message
    connection.send(Text("c"), is_continuation=True)
    assert not connection.open_message


NOT_BEGUN = "there is no message to continue: none was started with final=False"
OPEN = "a fragmented message is not finished yet: continue it with is_continuation=True"
CODE = "{} is not a close code that may be sent: "
INVALID: list[tuple[str | None, Any, bool, str]] = [
    # what is open, the frame, whether it is to continue, and why it may not be sent
    (None, Text("b"), True, NOT_BEGUN),
    (None, Text("b", final=False), True, NOT_BEGUN),
    (None, Binary(b"b"), True, NOT_BEGUN),
    ("text", Text("b"), False, OPEN),
    ("text", Text("b", final=False), False, OPEN),
    ("text", Binary(b"b"), False, OPEN),
    ("binary", Text("b"), False, OPEN),
    ("text", Binary(b"b"), True, "a message of Text frames can't be continued with a Binary frame"),
    ("binary", Text("b"), True, "a message of Binary frames can't be continued with a Text frame"),
    (None, Text("\ud800"), False, "the text can't be sent in UTF-8: "),
    (None, Text("a\udfff", final=False), False, "the text can't be sent in UTF-8: "),
    ("text", Text("\ud800"), True, "the text can't be sent in UTF-8: "),
    (None, Text(b"b"), False, "a Text frame's payload is a str, not bytes"),  # type: ignore[arg-type]
    (None, Text(None), False, "a Text frame's payload is a str, not NoneType"),  # type: ignore[arg-type]
    (None, Binary("b"), False, "a Binary frame's payload is bytes, not str"),  # type: ignore[arg-type]
    (None, Binary(5), False, "a Binary frame's payload is bytes, not int"),  # type: ignore[arg-type]
    (None, Binary([5]), False, "a Binary frame's payload is bytes, not list"),  # type: ignore[arg-type]
    (None, Ping("b"), False, "a Ping's payload is bytes, not str"),  # type: ignore[arg-type]
    (None, Pong(5), False, "a Pong's payload is bytes, not int"),  # type: ignore[arg-type]
    (None, Ping(bytes(126)), False, "a Ping holds at most 125 bytes, not 126 (RFC 6455 §5.5)"),
    ("text", Pong(bytes(70_000)), False, "a Pong holds at most 125 bytes, not 70000 (RFC 6455 §5.5)"),
    *[
        (None, Close(code), False, CODE.format(code))
        for code in (-1, 0, 999, 1004, 1006, 1015, 1016, 2999, 5000, 65536, 2**70)
    ],
    (None, Close(CloseCode.ABNORMAL_CLOSURE), False, ""),
    (None, Close(CloseCode.TLS_HANDSHAKE_FAILED), False, ""),
    (None, Close("1000"), False, CODE.format("'1000'")),  # type: ignore[arg-type]
    (None, Close(None), False, CODE.format("None")),  # type: ignore[arg-type]
    (None, Close(True), False, CODE.format("True")),
    (None, Close(1000.0), False, CODE.format("1000.0")),  # type: ignore[arg-type]
    (None, Close(3000.0), False, CODE.format("3000.0")),  # type: ignore[arg-type]
    (None, Close([1000]), False, CODE.format("[1000]")),  # type: ignore[arg-type]
    (None, Close(1000, b"bye"), False, "the reason of a Close is a str, not bytes"),  # type: ignore[arg-type]
    (None, Close(1000, None), False, "the reason of a Close is a str, not NoneType"),  # type: ignore[arg-type]
    (None, Close(1000, "\ud800"), False, "the reason of a Close can't be sent in UTF-8: "),
    (None, Close(1000, "a" * 124), False, "the reason of a Close holds at most 123 bytes in UTF-8, not 124"),
    (None, Close(1000, "é" * 62), False, "the reason of a Close holds at most 123 bytes in UTF-8, not 124"),
    (None, Close(1005, "bye"), False, "a Close without a code can't have a reason (RFC 6455 §5.5.1)"),
    (None, "text", False, "str is not a frame: send a Text, Binary, Ping, Pong or Close; send_text() takes a str"),
    (
        None,
        b"bytes",
        False,
        "bytes is not a frame: send a Text, Binary, Ping, Pong or Close; send_binary() takes",
    ),
    (None, None, False, "NoneType is not a frame: send a Text, Binary, Ping, Pong or Close"),
    (None, Text, False, "type is not a frame: send a Text, Binary, Ping, Pong or Close"),
]


@both_roles
@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "compressed"])
@pytest.mark.parametrize(
    ("begun", "frame", "is_continuation", "why"), INVALID, ids=[f"{frame!a:.40}" for _, frame, _, _ in INVALID]
)
def test_what_may_not_be_sent_is_refused_with_the_reason_and_changes_nothing(
    role: ConnectionType, compressed: bool, begun: str | None, frame: Any, is_continuation: bool, why: str
) -> None:
    """RFC 6455 §5.4, §5.5, §5.6, §7.4."""
    connection = connect(role, compressed=compressed)
    if begun is not None:
        connection.send(Text("a", final=False) if begun == "text" else Binary(b"a", final=False))
    with pytest.raises(InvalidFrame) as caught:
        connection.send(frame, is_continuation)
    assert str(caught.value).startswith(why)
    assert connection.state is State.OPEN
    assert connection.close_info is None
    assert connection.open_message == (begun is not None)
    connection.send(Ping(b"still"))
    end = [] if begun is None else [Text("z") if begun == "text" else Binary(b"z")]
    for rest in end:
        connection.send(rest, is_continuation=True)
    connection.send(Text("usable"))
    connection.send(Close())
    events = joined(heard(connection, role, compressed=compressed))
    assert events[bool(begun) :] == [
        PingEvent(b"still"),
        *events_of([(rest, True) for rest in end]),
        TextMessage("usable"),
        CloseConnection(1000, ""),
    ]
