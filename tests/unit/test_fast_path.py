"""The fast path alone: the frames that it takes, those before which it stops, and headers (RFC 6455 §5)."""

from __future__ import annotations

import zlib

import pytest
from wsproto.frame_protocol import FrameProtocol, ParseFailed

from polysocket._core import fast_path
from polysocket._core.failure import Refused
from polysocket._core.fast_path import BINARY, CLOSE, CONTINUATION, FINAL, RSV1, TEXT, parse_header, payload_size
from polysocket._core.judge import judge
from polysocket._core.masking import mask
from polysocket._core.partial_message import FEWEST_FRAGMENTS, PartialMessage
from polysocket._core.received import SIZE, UNPACKED, PackedText, Received, frame_of
from polysocket._core.zlib_streams import Inflater
from polysocket.frames import Binary, Close, Frame, Text
from tests.connections import KEY, SIZES, encoded

LIMIT = 2**63 - 1

masked_or_not = pytest.mark.parametrize("key", [b"", KEY], ids=["unmasked", "masked"])


def take(data: bytes, key: bytes = b"", *, position: int = 0, limit: int = LIMIT) -> tuple[list[Frame | Close], int]:
    received, marks = list[Received](), list[int]()
    position = fast_path.decode(data, position, bool(key), PartialMessage(limit), received, marks)
    return list(map(frame_of, received, marks)), position


# The examples of RFC 6455 §5.7

HELLO = bytes.fromhex("81 05 48 65 6c 6c 6f")
MASKED_HELLO = bytes.fromhex("81 85 37 fa 21 3d 7f 9f 4d 51 58")


def test_the_rfcs_examples_are_read() -> None:
    assert take(HELLO) == ([Text("Hello")], 7)
    assert take(MASKED_HELLO, KEY) == ([Text("Hello")], 11)
    assert take(b"\x82\x7e\x01\x00" + bytes(256)) == ([Binary(bytes(256))], 260)
    assert take(b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00" + bytes(65536)) == ([Binary(bytes(65536))], 65546)


def test_the_rfcs_examples_are_written() -> None:
    assert encoded(TEXT, b"Hello", b"") == HELLO
    assert encoded(TEXT, b"Hello", KEY) == MASKED_HELLO
    assert encoded(BINARY, bytes(256), b"") == b"\x82\x7e\x01\x00" + bytes(256)
    assert encoded(BINARY, bytes(65536), b"") == b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00" + bytes(65536)


@masked_or_not
@pytest.mark.parametrize("size", SIZES)
def test_encoded_frames_are_decoded_at_every_size_at_which_the_header_changes(size: int, key: bytes) -> None:
    data = encoded(BINARY, b"\x80" * size, key) + encoded(TEXT, b"a" * size, key)
    assert take(data, key) == ([Binary(b"\x80" * size), Text("a" * size)], len(data))


@masked_or_not
def test_decoding_starts_at_the_given_position_and_appends(key: bytes) -> None:
    frame = encoded(TEXT, "𝄞".encode(), key)
    received: list[Received] = ["before"]
    marks = [6 << SIZE]
    assert fast_path.decode(b"\x00\xff" + frame, 2, bool(key), PartialMessage(LIMIT), received, marks) == len(frame) + 2
    assert (received, marks) == (["before", "𝄞"], [6 << SIZE, 4 << SIZE])


@masked_or_not
@pytest.mark.parametrize("size", SIZES)
def test_an_incomplete_frame_stops_the_fast_path(size: int, key: bytes) -> None:
    first, second = encoded(TEXT, b"a", key), encoded(BINARY, bytes(size), key)
    for end in {0, 1, 2, 3, 4, 9, 10, 13, 14, len(second) // 2, len(second) - 1}:
        if end < len(second):
            assert take(first + second[:end], key) == ([Text("a")], len(first))


# Fragments


@pytest.mark.parametrize(
    ("text", "is_packed"),
    [("a" * 1000, False), ("漢字" * 500, False), ("a" * 999 + "😀", True)],
    ids=["ASCII", "two bytes a character", "an emoji"],
)
def test_many_texts_wait_in_utf_8_if_that_takes_much_less_memory(text: str, is_packed: bool) -> None:
    received = list[Received]()
    count = 2 * UNPACKED // len(text)
    data = encoded(TEXT, text.encode(), b"") * count
    fast_path.decode(data, 0, False, PartialMessage(LIMIT), received, [])
    assert type(received[0]) is str
    assert type(received[-1]) is (PackedText if is_packed else str)


def test_a_single_compressed_text_does_not_wait_in_utf_8() -> None:
    """The work of inflating it counts as many bytes, but it is short."""
    received, compressor = list[Received](), zlib.compressobj(wbits=-15)
    payload = compressor.compress(("a" * 999 + "😀").encode()) + compressor.flush(zlib.Z_SYNC_FLUSH)
    data = encoded(TEXT | RSV1, payload.removesuffix(b"\0\0\xff\xff"), b"")
    message, inflater = PartialMessage(LIMIT), Inflater(False, 15, None)
    assert fast_path.decode(data, 0, False, message, received, [], inflater=inflater) == len(data)
    assert [type(each) for each in received] == [str]


def fragments(key: bytes, opcode: int, *payloads: bytes) -> bytes:
    """Return a message in fragments, each payload in one."""
    opcodes = [opcode, *[CONTINUATION] * (len(payloads) - 1)]
    frames = [bytearray(encoded(each, payload, key)) for each, payload in zip(opcodes, payloads, strict=True)]
    for frame in frames[:-1]:
        frame[0] &= ~FINAL
    return b"".join(frames)


@masked_or_not
def test_fragments_are_decoded(key: bytes) -> None:
    data = fragments(key, TEXT, b"a", "é".encode(), b"") + fragments(key, BINARY, b"b", b"\x80" * 126)
    assert take(data, key) == (
        [
            Text("a", final=False),
            Text("é", final=False),
            Text(""),
            Binary(b"b", final=False),
            Binary(b"\x80" * 126),
        ],
        len(data),
    )


@masked_or_not
def test_a_split_character_stops_the_fast_path(key: bytes) -> None:
    a, (b, c) = fragments(key, TEXT, b"a", b"b")[: 3 + len(key)], ("é".encode()[:1], "é".encode()[1:])
    data = fragments(key, TEXT, b"a", b, c)
    assert take(data, key) == ([Text("a", final=False)], len(a))


@masked_or_not
def test_a_new_message_within_a_fragmented_one_stops_the_fast_path(key: bytes) -> None:
    first = fragments(key, TEXT, b"a", b"b")[: 3 + len(key)]
    assert take(first + encoded(TEXT, b"c", key), key) == ([Text("a", final=False)], len(first))
    assert take(first * 2, key) == ([Text("a", final=False)], len(first))


@masked_or_not
def test_the_limit_is_for_all_fragments_together(key: bytes) -> None:
    data = fragments(key, TEXT, b"abc", "éé".encode(), b"d")
    assert take(data, key, limit=8)[1] == len(data)
    with pytest.raises(Refused, match="a message of at least 8 bytes, over the limit of 7"):
        take(data, key, limit=7)


def test_the_number_of_fragments_is_limited() -> None:
    most = FEWEST_FRAGMENTS
    assert take(fragments(b"", BINARY, *[b""] * most), limit=most)[1] == 2 * most
    with pytest.raises(Refused, match=f"a message of more than {most} fragments"):
        take(fragments(b"", BINARY, *[b""] * (most + 1)), limit=most)


def header(first: int, length: bytes, key: bytes) -> bytes:
    return bytes([first, length[0] | (0x80 if key else 0)]) + length[1:] + key


STOPS: dict[str, tuple[int, bytes, bytes]] = {
    "a fragment that ends in the middle of a character": (0x01, b"\x01", b"\xc3"),
    "a continuation": (0x80, b"\x01", b"a"),
    "RSV1": (0xC1, b"\x01", b"a"),
    "RSV2": (0xA1, b"\x01", b"a"),
    "RSV3": (0x92, b"\x01", b"a"),
    "a reserved opcode": (0x83, b"\x01", b"a"),
    "a reserved control opcode": (0x8B, b"\x01", b"a"),
    "a Close": (0x88, b"\x02", b"\x03\xe8"),
    "a Ping": (0x89, b"\x01", b"a"),
    "a Pong": (0x8A, b"\x01", b"a"),
    "a length of 7 bits in 16": (0x82, b"\x7e\x00\x7d", bytes(125)),
    "a length of 7 bits in 64": (0x82, b"\x7f" + bytes(7) + b"\x7d", bytes(125)),
    "a length of 16 bits in 64": (0x82, b"\x7f" + bytes(6) + b"\xff\xff", bytes(65535)),
    "a length of zero in 16 bits": (0x82, b"\x7e\x00\x00", b""),
    "a length with its highest bit set": (0x82, b"\x7f\x80" + bytes(7), b"a"),
    "bad UTF-8": (0x81, b"\x02", b"\xc3\x28"),
    "UTF-8 that is cut": (0x81, b"\x03", "𝄞".encode()[:3]),
    "a surrogate in UTF-8": (0x81, b"\x03", b"\xed\xa0\x80"),
    "UTF-8 longer than needed": (0x81, b"\x02", b"\xc0\xaf"),
    "UTF-8 beyond Unicode": (0x81, b"\x04", b"\xf4\x90\x80\x80"),
}


@masked_or_not
@pytest.mark.parametrize("case", STOPS)
def test_the_fast_path_stops_before_a_frame_that_is_not_plain(case: str, key: bytes) -> None:
    first, length, payload = STOPS[case]
    plain = encoded(TEXT, b"plain", key)
    odd = header(first, length, key) + (mask(payload, key) if key else payload)
    assert take(plain + odd + plain, key) == ([Text("plain")], len(plain))


@pytest.mark.parametrize("size", SIZES)
def test_a_frame_with_the_wrong_masking_stops_the_fast_path(size: int) -> None:
    """RFC 6455 §5.1: a server gets masked frames only, a client unmasked ones only."""
    for opcode in (TEXT, BINARY):
        assert take(encoded(opcode, bytes(size), KEY), b"") == ([], 0)
        assert take(encoded(opcode, bytes(size), b""), KEY) == ([], 0)


@masked_or_not
@pytest.mark.parametrize("size", SIZES)
def test_the_limit_is_inclusive_and_in_bytes(size: int, key: bytes) -> None:
    for opcode, payload in ((BINARY, bytes(size)), (TEXT, "é".encode() * (size // 2))):
        data = encoded(opcode, payload, key)
        assert take(data, key, limit=len(payload))[1] == len(data)
        assert take(data, key, limit=len(payload) - 1) == ([], 0)


def test_masking_is_xor_with_the_repeated_key() -> None:
    """RFC 6455 §5.3, for lengths around the step of the loop."""
    for size in (*range(20), 4095, 4096, 4097, 4099, 8192, 70001):
        data = bytes(index * 7 % 256 for index in range(size))
        assert mask(data, KEY) == bytes(byte ^ KEY[index % 4] for index, byte in enumerate(data))


# Headers


@masked_or_not
@pytest.mark.parametrize("size", [*SIZES, 2**32, 2**63 - 1])
def test_a_header_is_known_once_it_is_complete(size: int, key: bytes) -> None:
    length = bytes([size]) if size < 126 else b"\x7e" + size.to_bytes(2, "big") if size < 65536 else b""
    head = header(0x82, length or b"\x7f" + size.to_bytes(8, "big"), key)
    assert parse_header(head, 0, bool(key), False, False) == len(head)
    assert parse_header(head + b"payload", 0, bool(key), False, False) == len(head)
    assert payload_size(head, 0) == size
    for end in range(len(head)):
        assert parse_header(head[:end], 0, bool(key), False, False) == 0
    assert parse_header(head, 0, not key, False, False) == -1


@masked_or_not
@pytest.mark.parametrize("case", STOPS)
def test_an_invalid_header_is_refused(case: str, key: bytes) -> None:
    first, length, _ = STOPS[case]
    is_valid = first in (0x01, 0x02, 0x81, 0x88, 0x89, 0x8A)
    for compression in (False, True):
        head = header(first, length, key)
        found = parse_header(head, 0, bool(key), False, compression)
        assert found == (len(head) if is_valid or (first == 0xC1 and compression) else -1)


@masked_or_not
@pytest.mark.parametrize("first", range(256))
@pytest.mark.parametrize("in_message", [False, True])
def test_a_header_is_valid_as_wsproto_says(first: int, in_message: bool, key: bytes) -> None:
    """A Close may be valid, too; then its payload decides."""
    head = header(first, b"\x02", key)
    is_valid = parse_header(head, 0, bool(key), in_message, False) == len(head)
    verdict = judge(head, b"\x03\xe8", from_client=bool(key), in_message=in_message, compression=False)
    if first & 0x0F == CLOSE:
        assert is_valid == isinstance(verdict, Close)
    else:
        protocol = FrameProtocol(client=not key, extensions=[])
        if in_message:
            protocol.receive_bytes(header(0x02, b"\x00", key))
            list(protocol.received_frames())
        protocol.receive_bytes(head + (mask(b"ab", key) if key else b"ab"))
        try:
            list(protocol.received_frames())
        except ParseFailed:
            assert not is_valid
        else:
            assert is_valid
