"""Compressed messages that are sent, and what they keep in memory; zlib unpacks them (RFC 7692 §7.2.1)."""

from __future__ import annotations

import zlib

import pytest
from wsproto import ConnectionType
from wsproto.connection import Connection
from wsproto.events import BytesMessage, CloseConnection, Ping
from wsproto.frame_protocol import Opcode

from polysocket._core.deflate import DeflateParameters
from polysocket.close_info import CloseCause
from polysocket.compression import Deflate
from polysocket.frames import Binary, Close
from tests.compression import (
    HELLO,
    NO_TAKEOVER,
    TAIL,
    WatchedZlib,
    compressed,
    extension,
    frame,
    noise,
    receive,
    sent,
)
from tests.connections import CLIENT, SERVER, connect


def test_messages_are_sent_as_in_the_rfcs_examples() -> None:
    """§7.2.3.1, and §7.2.3.2 with and without a shared window."""
    sharing, single = extension(role=SERVER), extension(NO_TAKEOVER, SERVER)
    assert sent(sharing, b"Hello") == [HELLO]
    assert sent(sharing, b"Hello") == [bytes.fromhex("f2 00 11 00 00")]
    assert sent(single, b"Hello") == sent(single, b"Hello") == [HELLO]


def test_fragments_are_flushed_and_only_the_last_loses_its_tail() -> None:
    """§7.2.3.5 and §7.2.3.6: each fragment can be read before the next arrives."""
    first, second, last = sent(extension(role=SERVER), b"He", b"llo", b"!")
    receiver = zlib.decompressobj(-15)
    assert [receiver.decompress(part) for part in (first, second, last + TAIL)] == [b"He", b"llo", b"!"]
    assert first.endswith(TAIL)
    assert second.endswith(TAIL)
    assert not last.endswith(TAIL)


@pytest.mark.parametrize("level", range(-1, 10))
@pytest.mark.parametrize("parameters", [DeflateParameters(), NO_TAKEOVER], ids=["takeover", "no takeover"])
def test_an_empty_message_and_an_empty_last_fragment_are_one_zero_octet(
    parameters: DeflateParameters, level: int
) -> None:
    ext = extension(parameters, SERVER, config=Deflate(level=level))
    for _ in range(3):
        assert sent(ext, b"") == [b"\x00"]
        assert sent(ext, noise(1000), b"")[1] == b"\x00"
        assert sent(ext, b"", b"", b"")[-1] == b"\x00"


def test_an_empty_stored_block_is_appended_if_a_flush_returns_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """§7.2.1: zlib may return nothing if nothing was compressed since its last flush."""

    class Silent:
        def __init__(self, *args: int) -> None: ...

        def compress(self, data: bytes) -> bytes:
            return b""

        def flush(self, mode: int) -> bytes:
            return b""

    monkeypatch.setattr(zlib, "compressobj", Silent)
    assert sent(extension(role=SERVER), b"") == [b"\x00"]
    assert sent(extension(role=SERVER), b"", b"") == [b"", b"\x00"]


@pytest.mark.parametrize("memory_level", [1, 8, 9])
@pytest.mark.parametrize("level", range(-1, 10))
def test_level_memory_level_and_window_bits_are_passed_to_zlib(level: int, memory_level: int) -> None:
    text = b"".join(noise(50) * 3 + bytes(200) for _ in range(50))
    for bits in range(9, 16):
        config = Deflate(window_bits=bits, level=level, memory_level=memory_level)
        ext = extension(role=SERVER, config=config)
        stream = zlib.compressobj(level, zlib.DEFLATED, -bits, memory_level)
        assert sent(ext, text) == [stream.compress(text) + stream.flush(zlib.Z_SYNC_FLUSH)[:-4]]


@pytest.mark.parametrize(("agreed", "own", "bits"), [(None, 9, 9), (11, 12, 11), (12, 11, 11), (None, 15, 15)])
@pytest.mark.parametrize("role", [CLIENT, SERVER])
def test_the_window_has_the_least_of_the_agreed_bits_and_our_own(
    role: ConnectionType, agreed: int | None, own: int, bits: int
) -> None:
    parameters = DeflateParameters(server_max_window_bits=agreed, client_max_window_bits=agreed)
    ext = extension(parameters, role, config=Deflate(window_bits=own))
    text = noise(2**bits - 300)
    whole, repeated, too_old = (len(payload) for payload in sent(ext, text, text, noise(2**bits) + text))
    assert repeated < whole / 10
    assert too_old > 2**bits + whole - 100


def inflated_byte_by_byte(payload: bytes, bits: int) -> bytes:
    """Inflate with exactly this window: within one call, zlib would also refer to all output of that call."""
    stream, output = zlib.decompressobj(-bits), bytearray()
    for start in range(0, len(payload), 64):
        rest = payload[start : start + 64]
        while piece := stream.decompress(rest, 1):
            output += piece
            rest = stream.unconsumed_tail
    return bytes(output)


@pytest.mark.parametrize("level", [1, 6, 9])
@pytest.mark.parametrize("bits", range(8, 16))
def test_compressed_data_never_refers_back_beyond_the_agreed_window(bits: int, level: int) -> None:
    """Even with 8 bits, for which zlib compresses with 9: a receiver with a window of 256 bytes can inflate it."""
    window = 2**bits
    text = b"".join(noise(window - gap) * 2 for gap in (0, 1, 6, 7, 100, 200, window // 2)) + bytes(window)
    for role in (CLIENT, SERVER):
        parameters = DeflateParameters(server_max_window_bits=bits, client_max_window_bits=bits)
        (payload,) = sent(extension(parameters, role, config=Deflate(window_bits=15, level=level)), text)
        assert len(payload) < len(text)
        assert inflated_byte_by_byte(payload + TAIL, bits) == text


def test_inflating_byte_by_byte_detects_a_larger_window() -> None:
    """Proves that the test above can fail."""
    (payload,) = sent(extension(DeflateParameters(server_max_window_bits=10), SERVER), noise(500) * 2)
    with pytest.raises(zlib.error, match="too far back"):
        inflated_byte_by_byte(payload + TAIL, 8)


def test_control_frames_are_sent_uncompressed() -> None:
    connection = Connection(SERVER, [extension(role=SERVER)])
    connection.send(BytesMessage(data=b"Hello", message_finished=False))
    assert connection.send(Ping(payload=b"Hello")) == b"\x89\x05Hello"
    assert connection.send(BytesMessage(data=b""))[2:] == b"\x00"
    assert connection.send(CloseConnection(code=1000)) == b"\x88\x02\x03\xe8"


# Memory


def test_nothing_is_allocated_before_it_is_needed(watch: WatchedZlib) -> None:
    ext = extension()
    receive(ext, frame(Opcode.PING, b"ping") + frame(Opcode.BINARY, b"plain") + compressed(b""))
    assert watch.made == 0
    sent(ext, b"Hello")
    assert (watch.made, len(watch.compressors)) == (1, 1)
    receive(ext, compressed(HELLO))
    assert (watch.made, len(watch.decompressors)) == (2, 1)


def test_context_takeover_keeps_one_compressor_and_one_decompressor(watch: WatchedZlib) -> None:
    ext = extension()
    for _ in range(3):
        sent(ext, b"He", b"llo")
        receive(ext, compressed(HELLO))
    assert watch.made == 2


def test_no_context_takeover_frees_both_after_each_message(watch: WatchedZlib) -> None:
    ext = extension(NO_TAKEOVER)
    for number in range(1, 4):
        sent(ext, b"He", b"llo")
        receive(ext, compressed(HELLO[:3], HELLO[3:]))
        assert watch.made == 2 * number
        assert not watch.compressors
        assert not watch.decompressors


def test_a_closed_connection_keeps_no_window(watch: WatchedZlib) -> None:
    """A user may hold a websocket long after its end."""
    client, server = connect(CLIENT, compressed=True), connect(SERVER, compressed=True)
    server.receive(client.send(Binary(noise(1000))))
    client.receive(server.send(Binary(noise(1000))))
    assert (len(watch.compressors), len(watch.decompressors)) == (2, 2)
    sent_close = client.send(Close())
    assert (len(watch.compressors), len(watch.decompressors)) == (1, 2)
    server.receive(sent_close)
    client.receive(server.data_to_send())
    assert (len(watch.compressors), len(watch.decompressors)) == (0, 0)


def test_a_lost_connection_keeps_no_window(watch: WatchedZlib) -> None:
    client, server = connect(CLIENT, compressed=True), connect(SERVER, compressed=True)
    server.receive(client.send(Binary(noise(1000))))
    server.receive_eof()
    client.abort(CloseCause.CANCELLATION, "")
    assert (len(watch.compressors), len(watch.decompressors)) == (0, 0)
