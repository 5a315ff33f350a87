"""The fast path compared with wsproto: it never accepts bytes that wsproto refuses, and decodes the same frames.

wsproto is the oracle. Fed with exactly the bytes that the fast path took, it must return equal frames and wait for no
more bytes. It must encode frames to the same bytes, too.
"""

from __future__ import annotations

from contextlib import suppress
from unittest.mock import patch

from hypothesis import example, given
from hypothesis import strategies as st
from wsproto import ConnectionType
from wsproto.connection import Connection, ConnectionState
from wsproto.events import BytesMessage, TextMessage

from polysocket._core import fast_path
from polysocket._core.failure import Refused
from polysocket._core.fast_path import BINARY, CONTINUATION, FINAL, TEXT
from polysocket._core.masking import mask
from polysocket._core.partial_message import FEWEST_FRAGMENTS, PartialMessage
from polysocket._core.received import SIZE, Received, frame_of
from polysocket.frames import Binary, Close, Frame, Text
from tests.connections import encoded
from tests.examples import examples

LIMIT = 2**63 - 1


def decode(data: bytes, position: int, masked: bool, limit: int, frames: list[Frame | Close]) -> int:
    """Have the fast path decode messages, and append them as frames."""
    received, marks = list[Received](), list[int]()
    try:
        position = fast_path.decode(data, position, masked, PartialMessage(limit), received, marks)
    finally:
        frames += map(frame_of, received, marks)
    assert [mark >> SIZE for mark in marks] == [len(as_bytes(frame)) for frame in map(frame_of, received, marks)]
    return position


many = examples(300)

keys = st.binary(min_size=4, max_size=4)
maskings = st.booleans()
# Sizes near the borders of the three forms of a length; most payloads are short.
sizes = st.one_of(st.integers(0, 130), st.sampled_from([126, 127, 65535, 65536, 70000]))
payloads = st.one_of(
    st.binary(max_size=130),
    st.text(max_size=60).map(str.encode),
    st.text(max_size=60).map(lambda text: text.encode()[:-1]),
    st.builds(lambda size, byte: byte * size, sizes, st.sampled_from([b"a", b"\x00", b"\xff"])),
)


@st.composite
def headers(draw: st.DrawFn, first: int, size: int, masked: bool, odd: str = "") -> bytes:
    """Draw the header of a plain frame, or one with a single defect."""
    if odd == "first byte":
        first = draw(st.integers(0, 255))
    width = 1 if size < 126 else 2 if size < 65536 else 8
    if odd == "width":
        width = 2 if size < 126 and draw(st.booleans()) else 8
    bit = 0x80 if masked != (odd == "masking") else 0
    if width == 1:
        return bytes([first, bit | size])
    return bytes([first, bit | (126 if width == 2 else 127)]) + size.to_bytes(width, "big")


@st.composite
def wires(draw: st.DrawFn, masked: bool) -> bytes:
    """Draw plain frames, perhaps followed by an odd one, and perhaps damaged anywhere."""
    wire = bytearray()
    odd = draw(st.sampled_from(["first byte", "width", "masking", ""]))
    frames = list[tuple[int, bytes, str]]()
    for bodies in draw(st.lists(st.lists(payloads, min_size=1, max_size=3), max_size=3)):
        opcodes = [draw(st.sampled_from([TEXT, BINARY])), *[CONTINUATION] * (len(bodies) - 1)]
        frames += [(opcode, body, "") for opcode, body in zip(opcodes, bodies, strict=True)]
        frames[-1] = (opcodes[-1] | FINAL, bodies[-1], "")
    last = draw(st.one_of(payloads, sizes.map(bytes)))
    frames.append((draw(st.sampled_from([TEXT, BINARY, FINAL | TEXT, FINAL | BINARY])), last, odd))
    for first, payload, defect in frames:
        key = draw(keys) if masked else b""
        wire += draw(headers(first, len(payload), masked, defect)) + key + (mask(payload, key) if key else payload)
    way = draw(st.sampled_from(["as it is", "as it is", "flipped", "cut"]))
    if way == "flipped":
        wire[draw(st.integers(0, len(wire) - 1))] ^= 1 << draw(st.integers(0, 7))
    elif way == "cut":
        del wire[draw(st.integers(0, len(wire))) :]
        wire += draw(st.binary(max_size=20))
    return bytes(wire)


def judged(data: bytes, masked: bool) -> list[Text | Binary]:
    """Return the frames that wsproto reads in the bytes; fail if there is anything but whole data frames."""
    connection = Connection(ConnectionType.SERVER if masked else ConnectionType.CLIENT)
    connection.receive_data(data)
    frames = list[Text | Binary]()
    for event in connection.events():
        assert isinstance(event, TextMessage | BytesMessage), event
        assert event.frame_finished
        final = event.message_finished
        frames.append(Text(event.data, final) if isinstance(event, TextMessage) else Binary(bytes(event.data), final))
    assert connection.state is ConnectionState.OPEN
    # No byte is left over: the next frame is read correctly.
    opcode = BINARY if not frames or frames[-1].final else CONTINUATION
    connection.receive_data(encoded(opcode, b"next", b"key!" if masked else b""))
    (event,) = connection.events()
    is_text = opcode == CONTINUATION and isinstance(frames[-1], Text)
    assert event == (TextMessage("next") if is_text else BytesMessage(b"next"))
    return frames


@many
@given(st.data(), maskings, st.binary(max_size=3))
def test_frames_of_the_fast_path_are_those_of_wsproto(data: st.DataObject, masked: bool, before: bytes) -> None:
    wire = data.draw(wires(masked))
    taken = list[Frame | Close]()
    position = decode(before + wire, len(before), masked, LIMIT, taken)
    assert judged(wire[: position - len(before)], masked) == taken


@many
@given(st.binary(), maskings)
@example(b"", False)
@example(b"\x81", True)
@example(b"\x82\x7f\x80\x00\x00\x00\x00\x00\x00\x00", False)
@example(b"\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", True)
def test_any_bytes_are_decoded_as_by_wsproto_or_left(wire: bytes, masked: bool) -> None:
    taken = list[Frame | Close]()
    position = decode(wire, 0, masked, LIMIT, taken)
    assert judged(wire[:position], masked) == taken


contents = st.one_of(st.text(max_size=150), st.binary(max_size=150), sizes.map(bytes), sizes.map("é".__mul__))


def content(value: str | bytes) -> tuple[int, bytes]:
    return (TEXT, value.encode()) if isinstance(value, str) else (BINARY, value)


@many
@given(st.lists(st.tuples(contents, keys), max_size=5), st.data(), maskings)
def test_the_fast_path_takes_every_whole_plain_frame_and_no_byte_more(
    frames: list[tuple[str | bytes, bytes]], data: st.DataObject, masked: bool
) -> None:
    """Otherwise the fast path would be right, but not fast."""
    pieces = [encoded(*content(value), key if masked else b"") for value, key in frames]
    wire = b"".join(pieces)
    cut = data.draw(st.integers(0, len(wire)))
    whole = 0
    while whole < len(pieces) and sum(map(len, pieces[: whole + 1])) <= cut:
        whole += 1
    taken = list[Frame | Close]()
    assert decode(wire[:cut], 0, masked, LIMIT, taken) == sum(map(len, pieces[:whole]))
    assert [frame.payload for frame in taken if isinstance(frame, Text | Binary)] == [
        value for value, _ in frames[:whole]
    ]


@many
@given(st.data(), maskings, st.integers(0, 200))
def test_a_limit_stops_the_fast_path_and_changes_no_earlier_frame(
    data: st.DataObject, masked: bool, limit: int
) -> None:
    wire = data.draw(wires(masked))
    unlimited, limited = list[Frame | Close](), list[Frame | Close]()
    decode(wire, 0, masked, LIMIT, unlimited)
    with suppress(Refused):  # raised for a fragment
        decode(wire, 0, masked, limit, limited)
    allowed, size, fragments = list[Frame | Close](), 0, 0
    for frame in unlimited:
        size += len(as_bytes(frame))
        fragments += 1
        if size > limit or fragments > FEWEST_FRAGMENTS:
            break
        allowed.append(frame)
        if isinstance(frame, Text | Binary) and frame.final:
            size = fragments = 0
    assert limited == allowed


def as_bytes(frame: Frame | Close) -> bytes:
    assert isinstance(frame, Text | Binary)
    return frame.payload if isinstance(frame, Binary) else frame.payload.encode()


@many
@given(contents, keys, maskings)
def test_a_frame_is_encoded_as_by_wsproto_with_the_same_key(value: str | bytes, key: bytes, masked: bool) -> None:
    connection = Connection(ConnectionType.CLIENT if masked else ConnectionType.SERVER)
    with patch("wsproto.frame_protocol.os.urandom", return_value=key):
        expected = connection.send(TextMessage(value) if isinstance(value, str) else BytesMessage(value))
    assert encoded(*content(value), key if masked else b"") == expected


@many
@given(contents, keys, maskings)
def test_wsproto_reads_encoded_frames(value: str | bytes, key: bytes, masked: bool) -> None:
    (frame,) = judged(encoded(*content(value), key if masked else b""), masked)
    assert frame.payload == value


@many
@given(st.binary(max_size=300), keys)
def test_masking_is_the_xor_of_the_rfc_and_its_own_inverse(data: bytes, key: bytes) -> None:
    """RFC 6455 §5.3."""
    masked = mask(data, key)
    assert masked == bytes(byte ^ key[index % 4] for index, byte in enumerate(data))
    assert mask(masked, key) == data
