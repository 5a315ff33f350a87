"""The frames that a connection sends, as wsproto reads them, and those that it refuses (RFC 6455 §5)."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest
from wsproto import ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, TextMessage
from wsproto.events import Ping as PingEvent
from wsproto.events import Pong as PongEvent

from polysocket._core.fast_path import BINARY
from polysocket._core.masking import mask
from polysocket._core.states import State
from polysocket.errors import InvalidFrame
from polysocket.frames import Binary, Close, CloseCode, Frame, Ping, Pong, Text
from tests.connections import (
    CLIENT,
    SERVER,
    SIZES,
    both_roles,
    connect,
    heard,
    joined,
)


def events_of(frames: Sequence[tuple[Frame, bool]]) -> list[Event]:
    """Return the events that wsproto makes of these frames."""
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
def test_wsproto_reads_the_frames_that_are_sent(role: ConnectionType, compressed: bool) -> None:
    connection = connect(role, compressed=compressed)
    for frame, is_continuation in CONVERSATION:
        connection.send(frame, is_continuation)
        assert connection.open_message == (isinstance(frame, Text | Binary) and not frame.final) or isinstance(
            frame, Ping | Pong
        )
    assert joined(heard(connection, role, compressed=compressed)) == events_of(CONVERSATION)
    assert connection.data_to_send() == b""
    assert connection.state is State.OPEN


@both_roles
@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "compressed"])
@pytest.mark.parametrize("at_once", [4, 1024, 32 * 1024])
def test_a_large_frame_is_encoded_in_slices_of_at_most_as_many_bytes(
    role: ConnectionType, compressed: bool, at_once: int
) -> None:
    connection, encoder = connect(role, compressed=compressed), connect(role, compressed=compressed).encoder
    payload = random.Random(6455).randbytes(100_001)
    frame = connection.send(Binary(payload))
    first = encoder.encode(BINARY, payload, True, True, at_once)
    head = len(first) - at_once
    slices = [first]
    while encoder.has_more:
        slices.append(encoder.more(at_once))
    assert {len(each) for each in slices[1:-1]} == {at_once}
    assert 0 < len(slices[-1]) <= at_once
    assert len(b"".join(slices)) == len(frame)
    if role is CLIENT:
        key = first[head - 4 : head]
        assert b"".join(slices)[head:] == mask(mask(frame[head:], frame[head - 4 : head]), key)
    else:
        assert b"".join(slices) == frame
    assert encoder.encode(BINARY, b"", True, True, at_once)[:1] == frame[:1]
    assert not encoder.has_more


def test_a_client_masks_every_frame_with_a_fresh_key_and_a_server_masks_none() -> None:
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


def test_data_to_send_returns_bytes_once_and_in_order() -> None:
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
def test_a_payload_may_be_any_buffer_and_is_copied_at_once(kind: Any) -> None:
    connection = connect(SERVER)
    changing = bytearray(b"abcd")
    for buffer in (changing, memoryview(changing), memoryview(b"a?b?c?d?")[::2]):
        connection.send(kind(buffer))
    changing[:] = b"????"
    data = connection.data_to_send()
    assert [data[start : start + 4] for start in (2, 8, 14)] == [b"abcd"] * 3


def test_a_message_is_open_until_its_final_fragment_is_sent() -> None:
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
    # the open message, the frame, is_continuation, and why the frame may not be sent
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
def test_a_frame_that_may_not_be_sent_is_refused_with_the_reason_and_changes_nothing(
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
