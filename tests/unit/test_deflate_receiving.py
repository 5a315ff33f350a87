"""Compressed messages that are received, their bound and their memory; zlib packed them (RFC 7692 §7.2.2)."""

from __future__ import annotations

import tracemalloc
import zlib
from collections.abc import Iterator

import pytest
from wsproto import ConnectionType
from wsproto.events import CloseConnection, Ping, TextMessage
from wsproto.frame_protocol import Opcode

from polysocket._core.deflate import DeflateParameters
from polysocket.frames import Binary
from tests.compression import (
    CHUNKS,
    EMPTY_FINAL,
    FINAL_HELLO,
    HELLO,
    NO_TAKEOVER,
    TAIL,
    WatchedZlib,
    close_code,
    compressed,
    extension,
    frame,
    messages,
    noise,
    receive,
)
from tests.connections import (
    BINARY,
    CLIENT,
    RSV1,
    Connection,
    both_roles,
    connect,
    deflate,
    deflated,
    failure,
    frame_to,
)

# The RFC's examples (§7.2.3)

RFC_EXAMPLES = {
    "7.2.3.1 one block": "c1 07 f2 48 cd c9 c9 07 00",
    "7.2.3.1 one block, fragmented": "41 03 f2 48 cd 80 04 c9 c9 07 00",
    "7.2.3.3 no compression": "c1 0b 00 05 00 fa ff 48 65 6c 6c 6f 00",
    "7.2.3.4 BFINAL": "c1 08 f3 48 cd c9 c9 07 00 00",
    "7.2.3.5 two blocks": "c1 0d f2 48 05 00 00 00 ff ff ca c9 c9 07 00",
    "7.2.3.6 an empty last fragment": "41 0b f2 48 cd c9 c9 07 00 00 00 ff ff 80 01 00",
}


@CHUNKS
@pytest.mark.parametrize("parameters", [DeflateParameters(), NO_TAKEOVER], ids=["takeover", "no takeover"])
@pytest.mark.parametrize("wire", RFC_EXAMPLES.values(), ids=RFC_EXAMPLES.keys())
def test_each_example_of_the_rfc_is_read_repeatedly(
    wire: str, parameters: DeflateParameters, chunk: int | None
) -> None:
    assert messages(receive(extension(parameters), bytes.fromhex(wire) * 3, chunk)) == [b"Hello"] * 3


def test_all_examples_of_the_rfc_are_read_on_one_connection() -> None:
    wire = bytes.fromhex("".join(RFC_EXAMPLES.values()))
    assert messages(receive(extension(), wire)) == [b"Hello"] * len(RFC_EXAMPLES)


@CHUNKS
def test_the_window_is_shared_by_messages(chunk: int | None) -> None:
    """§7.2.3.2: the second Hello is a reference to the first."""
    wire = bytes.fromhex("c1 07 f2 48 cd c9 c9 07 00") + bytes.fromhex("c1 05 f2 00 11 00 00")
    assert messages(receive(extension(), wire, chunk)) == [b"Hello"] * 2


def test_the_window_is_not_shared_without_context_takeover() -> None:
    ext = extension(DeflateParameters(server_no_context_takeover=True))
    assert close_code(receive(ext, compressed(HELLO) + bytes.fromhex("c2 05 f2 00 11 00 00"))) == 1007


# Final blocks (§7.2.3.4)


@CHUNKS
@pytest.mark.parametrize("parameters", [DeflateParameters(), NO_TAKEOVER], ids=["takeover", "no takeover"])
def test_a_message_may_have_final_blocks_anywhere_and_the_next_messages_are_read(
    parameters: DeflateParameters, chunk: int | None
) -> None:
    one = FINAL_HELLO + EMPTY_FINAL * 3 + FINAL_HELLO + HELLO
    two = FINAL_HELLO + b"\x00"
    wire = compressed(one) + compressed(two) + compressed(HELLO) + compressed(one)
    expected = [b"HelloHelloHello", b"Hello", b"Hello", b"HelloHelloHello"]
    assert messages(receive(extension(parameters), wire, chunk)) == expected


@pytest.mark.parametrize("cut", range(1, 25))
def test_fragments_may_split_final_blocks_anywhere(cut: int) -> None:
    payload = FINAL_HELLO + EMPTY_FINAL + FINAL_HELLO + HELLO
    parts = [payload[start : start + cut] for start in range(0, len(payload), cut)]
    wire = compressed(*parts, between=frame(Opcode.PING, b"ping")) + compressed(HELLO)
    assert messages(receive(extension(), wire)) == [b"HelloHelloHello", b"Hello"]


def test_a_final_stored_block_may_end_a_message() -> None:
    """Its header with BFINAL set is the last byte, and the tail completes it."""
    wire = compressed(HELLO[:-1] + b"\x00" + TAIL + b"\x01") + compressed(HELLO)
    assert messages(receive(extension(), wire)) == [b"Hello", b"Hello"]


@CHUNKS
def test_the_window_survives_a_final_block_within_a_message(chunk: int | None) -> None:
    first, second = noise(300), noise(300)[:200] + b"!"
    wire = compressed(deflated(first, final=True) + deflated(second, window=first))
    for parameters in (DeflateParameters(), NO_TAKEOVER):
        assert messages(receive(extension(parameters), wire, chunk)) == [first + second]


@CHUNKS
def test_with_context_takeover_the_window_survives_a_final_block_for_the_next_messages(chunk: int | None) -> None:
    text = noise(500)
    referring = deflated(text, window=text)
    assert len(referring) < 50
    wire = compressed(deflated(text, final=True) + b"\x00") + compressed(referring) * 2
    assert messages(receive(extension(), wire, chunk)) == [text] * 3


def test_the_window_across_final_blocks_reaches_back_over_many_messages() -> None:
    texts = [noise(size) for size in (20_000, 300, 400, 1)]
    referring = deflated(texts[0], window=b"".join(texts))
    assert len(referring) < 1000
    wire = b"".join(compressed(deflated(text)) for text in texts)
    wire += compressed(EMPTY_FINAL + referring)
    assert messages(receive(extension(), wire)) == [*texts, texts[0]]


@pytest.mark.parametrize("bits", range(8, 16))
def test_the_window_and_its_record_are_exactly_as_large_as_agreed(bits: int, watch: WatchedZlib) -> None:
    text = noise(100_000)
    wire = compressed(deflated(text)) + compressed(deflated(b"more")) + compressed(EMPTY_FINAL + HELLO)
    receive(extension(DeflateParameters(server_max_window_bits=bits)), wire)
    assert watch.windows == [b"", (text + b"more")[-(2**bits) :]]
    assert watch.wbits == [-bits, -bits]


@pytest.mark.parametrize(("size", "count"), [(2, 50_000), (100_000, 50)])
def test_the_record_of_the_window_takes_little_memory(size: int, count: int) -> None:
    inflater, payload = extension().deflate.inflater, deflated(noise(size))
    tracemalloc.start()
    try:
        for _ in range(count):
            inflater.inflate_message(payload)
        assert tracemalloc.get_traced_memory()[0] < 4 * 2**15
    finally:
        tracemalloc.stop()


def test_without_context_takeover_no_window_reaches_the_next_message(watch: WatchedZlib) -> None:
    receive(extension(NO_TAKEOVER), compressed(HELLO) * 2 + compressed(FINAL_HELLO + b"\x00") * 2)
    assert watch.windows == [b"", b"", b"", b"Hello", b"", b"Hello"]


def test_a_frame_of_very_many_final_blocks_is_refused() -> None:
    """Each needs a new zlib stream: 1 MiB of them would hold up an event loop for a second."""
    connection = connect(CLIENT, 1000, compressed=True)
    connection.receive(frame_to(CLIENT, BINARY, b"\x03\x00" * 9000, rsv=RSV1))
    connection.fail()
    assert failure(connection) == (1009, "a frame of more than 8192 final blocks")


def test_copying_grows_linearly_with_the_final_blocks_of_a_frame(watch: WatchedZlib) -> None:
    """Zlib copies its unused input: the copies must grow with the message, not with its square."""
    count = 5000
    assert messages(receive(extension(), compressed(EMPTY_FINAL * count + HELLO))) == [b"Hello"]
    assert len(watch.windows) == count + 1
    assert watch.taken < 1100 * count


@CHUNKS
@pytest.mark.parametrize("parameters", [DeflateParameters(), NO_TAKEOVER], ids=["takeover", "no takeover"])
def test_a_message_may_lack_the_octet_after_its_final_block(parameters: DeflateParameters, chunk: int | None) -> None:
    """§7.2.1 asks the sender for it. Without the octet, the tail would garble the next message."""
    wire = compressed(FINAL_HELLO) + compressed(HELLO) + compressed(FINAL_HELLO) * 2 + compressed(HELLO)
    assert messages(receive(extension(parameters), wire, chunk)) == [b"Hello"] * 5


@CHUNKS
@pytest.mark.parametrize("payloads", [[b""], [b"", b""]], ids=["one frame", "two fragments"])
def test_a_compressed_message_without_payload_is_empty(payloads: list[bytes], chunk: int | None) -> None:
    wire = compressed(HELLO) + compressed(*payloads) + compressed(HELLO)
    assert messages(receive(extension(), wire, chunk)) == [b"Hello", b"", b"Hello"]


# Frames that are not compressed (§6)


@CHUNKS
@pytest.mark.parametrize("parameters", [DeflateParameters(), NO_TAKEOVER], ids=["takeover", "no takeover"])
def test_control_frames_between_fragments_are_not_inflated(parameters: DeflateParameters, chunk: int | None) -> None:
    pings = frame(Opcode.PING, HELLO) + frame(Opcode.PING, b"")
    wire = compressed(HELLO[:2], b"", HELLO[2:5], HELLO[5:], between=pings) + compressed(HELLO)
    events = receive(extension(parameters), wire, chunk)
    assert [bytes(event.payload) for event in events if isinstance(event, Ping)] == [HELLO, b""] * 3
    assert messages(events) == [b"Hello"] * 2


def test_a_close_between_fragments_is_read() -> None:
    wire = frame(Opcode.BINARY, HELLO[:3], fin=False, rsv1=True) + frame(Opcode.CLOSE, b"\x03\xe9away")
    assert receive(extension(), wire)[-1] == CloseConnection(code=1001, reason="away")


@pytest.mark.parametrize("opcode", [Opcode.PING, Opcode.PONG, Opcode.CLOSE])
@pytest.mark.parametrize(
    "start", [b"", frame(Opcode.BINARY, HELLO[:3], fin=False, rsv1=True)], ids=["alone", "within a message"]
)
def test_rsv1_on_a_control_frame_is_a_protocol_error(opcode: Opcode, start: bytes) -> None:
    ext = extension()
    assert close_code(receive(ext, start + frame(opcode, b"", rsv1=True))) == 1002
    assert ext.failure == f"RSV1 is set on a {opcode.name} frame"


@pytest.mark.parametrize("rsv1", [True, False], ids=["compressed", "not compressed"])
def test_rsv1_on_a_continuation_is_a_protocol_error(rsv1: bool) -> None:
    ext = extension()
    wire = frame(Opcode.BINARY, HELLO, fin=False, rsv1=rsv1) + frame(Opcode.CONTINUATION, HELLO, rsv1=True)
    assert close_code(receive(ext, wire)) == 1002
    assert ext.failure == "RSV1 is set on a CONTINUATION frame"


@pytest.mark.parametrize("bit", [0x20, 0x10])
def test_the_other_reserved_bits_are_a_protocol_error(bit: int) -> None:
    wire = bytearray(compressed(HELLO))
    wire[0] |= bit
    assert close_code(receive(extension(), bytes(wire))) == 1002


@CHUNKS
@pytest.mark.parametrize("parameters", [DeflateParameters(), NO_TAKEOVER], ids=["takeover", "no takeover"])
def test_an_uncompressed_message_between_compressed_ones_is_read(
    parameters: DeflateParameters, chunk: int | None
) -> None:
    plain = frame(Opcode.BINARY, HELLO, fin=False) + frame(Opcode.PING, b"") + frame(Opcode.CONTINUATION, HELLO)
    wire = compressed(HELLO) + plain + frame(Opcode.BINARY, b"") + compressed(HELLO)
    assert messages(receive(extension(parameters), wire, chunk)) == [b"Hello", HELLO * 2, b"", b"Hello"]


def test_a_fragment_is_inflated_before_the_next_one_arrives() -> None:
    stream = zlib.compressobj(wbits=-15)
    fragment = stream.compress(b"Hello") + stream.flush(zlib.Z_SYNC_FLUSH)
    (event,) = receive(extension(), frame(Opcode.TEXT, fragment, fin=False, rsv1=True))
    assert event == TextMessage(data="Hello", frame_finished=True, message_finished=False)


def test_utf_8_is_validated_after_inflating() -> None:
    assert close_code(receive(extension(), frame(Opcode.TEXT, deflated(b"\xff"), rsv1=True))) == 1007


# The bound

LIMIT = 10_000


def packed(size: int) -> Iterator[tuple[str, bytes]]:
    """Yield one message of this size, packed in every way."""
    data = bytes(size)
    whole = deflated(data)
    yield "one frame", compressed(whole)
    yield "fragments", compressed(*(whole[at : at + 2] for at in range(0, len(whole), 2)))
    yield "fragments and pings", compressed(whole[:5], b"", whole[5:], between=frame(Opcode.PING, bytes(99)))
    yield "not deflated", compressed(zlib.compress(data, 0, -15) + b"\x00")
    parts = [size // 3, size // 3, size - 2 * (size // 3)]
    streams = [deflated(bytes(part), final=True) for part in parts]
    yield "final blocks", compressed(b"".join(streams) + b"\x00")
    yield "final blocks in fragments", compressed(*streams, b"\x00")
    # A stored block whose last four bytes are the tail itself.
    yield "out of the tail", compressed(deflated(data[4:]) + TAIL + b"\x00\x04\x00\xfb\xff")


PACKINGS = [name for name, _ in packed(LIMIT)]


@CHUNKS
@pytest.mark.parametrize("packing", PACKINGS)
def test_a_message_of_exactly_max_message_size_is_read(packing: str, chunk: int | None) -> None:
    wire = dict(packed(LIMIT))[packing]
    ext = extension(max_message_size=LIMIT)
    expected = bytes(LIMIT - 4) + TAIL if packing == "out of the tail" else bytes(LIMIT)
    assert messages(receive(ext, wire + compressed(HELLO), chunk)) == [expected, b"Hello"]
    assert ext.failure is None


@CHUNKS
@pytest.mark.parametrize("size", [LIMIT + 1, LIMIT + 4, 40 * LIMIT])
@pytest.mark.parametrize("packing", PACKINGS)
def test_a_larger_message_is_refused_while_it_is_inflated(
    packing: str, size: int, chunk: int | None, watch: WatchedZlib
) -> None:
    ext = extension(max_message_size=LIMIT)
    assert close_code(receive(ext, dict(packed(size))[packing], chunk)) == 1009
    assert ext.failure == f"a message inflates to more than {LIMIT} bytes"
    assert watch.given <= LIMIT + 1


def test_the_limit_is_for_each_message_separately() -> None:
    wire = compressed(deflated(bytes(LIMIT))) * 5
    assert messages(receive(extension(max_message_size=LIMIT), wire)) == [bytes(LIMIT)] * 5


def test_a_compression_bomb_in_an_endless_message_is_refused(watch: WatchedZlib) -> None:
    bomb = zlib.compressobj(wbits=-15)
    payload = bomb.compress(bytes(64 << 20)) + bomb.flush(zlib.Z_SYNC_FLUSH)
    wire = frame(Opcode.BINARY, payload, fin=False, rsv1=True)
    assert close_code(receive(extension(max_message_size=LIMIT), wire, chunk=100)) == 1009
    assert watch.given <= LIMIT + 1


@pytest.mark.parametrize("final", [False, True], ids=["one block", "final blocks"])
@pytest.mark.parametrize("chunk", [None, 1000], ids=["at once", "by 1000"])
@both_roles
def test_a_large_limit_lets_a_bomb_hold_up_no_event_loop(role: ConnectionType, chunk: int | None, final: bool) -> None:
    mib = 1024 * 1024
    payload = b"".join(deflated(bytes([byte]) * mib, final=True) for byte in b"abc") if final else b""
    payload += deflated(b"d" * (40 * mib))
    extension = deflate(role)
    connection = Connection(role, extension, max_message_size=64 * mib).inner
    wire = frame_to(role, BINARY, payload, rsv=RSV1)
    most = inflated = 0
    for start in range(0, len(wire), chunk or len(wire)):
        data = wire[start : start + (chunk or len(wire))]
        while data or connection.holds_bytes:
            connection.receive(data)
            data, before = b"", inflated
            inflated = extension.inflater.work
            most = max(most, inflated - before)
    assert most < 20 * mib
    message = connection.next_frame()
    assert isinstance(message, Binary)
    expected = b"".join(bytes([byte]) * mib for byte in b"abc" if final) + b"d" * (40 * mib)
    assert message.payload == expected


@pytest.mark.parametrize("end", [b"", b"\x00", FINAL_HELLO], ids=["no octet", "octet", "more"])
def test_a_message_is_the_same_wherever_inflating_pauses(end: bytes) -> None:
    payload = deflated(b"a" * 3000 + noise(50), final=True) + end
    whole = b"a" * 3000 + noise(50) + (b"Hello" if end == FINAL_HELLO else b"")
    for most in range(1, len(whole) + 2):
        inflater, rest, output = extension().deflate.inflater, payload, b""
        inflater.begin()
        while rest:
            output += inflater.feed(rest, most)
            assert inflater.left < len(rest)
            rest = rest[len(rest) - inflater.left :]
        assert output + inflater.finish() == whole
        assert inflater.inflate_message(HELLO) == b"Hello"


def test_without_a_limit_a_message_of_any_size_is_inflated() -> None:
    wire = compressed(deflated(bytes(5 << 20)))
    assert messages(receive(extension(max_message_size=None), wire)) == [bytes(5 << 20)]


# Corrupt data


@pytest.mark.parametrize(
    ("payload", "complaint"),
    [
        (b"\xff\xff", "invalid block type"),
        (FINAL_HELLO + b"\xff\xff", "invalid block type"),
        (bytes.fromhex("f2 00 11 00 00"), "invalid distance too far back"),
        (bytes.fromhex("00 05 00 00 00 48"), "invalid stored block lengths"),
        (b"\x00" + TAIL + b"\x07", "invalid block type"),  # first seen with the tail
    ],
)
@CHUNKS
def test_corrupt_data_closes_with_1007_and_the_failure_says_why(
    payload: bytes, complaint: str, chunk: int | None
) -> None:
    ext = extension()
    assert close_code(receive(ext, compressed(payload), chunk)) == 1007
    assert ext.failure is not None
    assert ext.failure.startswith("corrupt deflate data: ")
    assert complaint in ext.failure
