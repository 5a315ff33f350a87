"""permessage-deflate, promise by promise: the negotiation, and frames through a ``wsproto.connection.Connection``.

The judge is zlib itself: what is received was packed by it, what is sent is unpacked by it. The property tests put
other implementations on the other side.
"""

from __future__ import annotations

import random
import weakref
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from wsproto import ConnectionType
from wsproto.connection import Connection
from wsproto.events import BytesMessage, CloseConnection, Event, Message, Ping, TextMessage
from wsproto.frame_protocol import Opcode

from polysocket._core.deflate import DeflateParameters, Parameters, PerMessageDeflate, accept, agree, offer
from polysocket.compression import Deflate
from polysocket.errors import InvalidUpgrade

CLIENT, SERVER = ConnectionType.CLIENT, ConnectionType.SERVER
TAIL = b"\x00\x00\xff\xff"
HELLO = bytes.fromhex("f2 48 cd c9 c9 07 00")  # RFC 7692 §7.2.3.1
FINAL_HELLO = bytes.fromhex("f3 48 cd c9 c9 07 00")  # the block of §7.2.3.4, without the octet behind it
EMPTY_FINAL = b"\x03\x00"
NO_TAKEOVER = DeflateParameters(server_no_context_takeover=True, client_no_context_takeover=True)


def extension(
    parameters: DeflateParameters | None = None,
    role: ConnectionType = CLIENT,
    *,
    config: Deflate | None = None,
    max_message_size: int | None = None,
) -> PerMessageDeflate:
    return PerMessageDeflate(role, parameters or DeflateParameters(), config or Deflate(), max_message_size)


def frame(opcode: Opcode, payload: bytes, *, fin: bool = True, rsv1: bool = False) -> bytes:
    """A frame as a server sends it, unmasked."""
    head = bytes([fin << 7 | rsv1 << 6 | opcode])
    if len(payload) < 126:
        return head + bytes([len(payload)]) + payload
    if len(payload) < 1 << 16:
        return head + b"\x7e" + len(payload).to_bytes(2, "big") + payload
    return head + b"\x7f" + len(payload).to_bytes(8, "big") + payload


def compressed(*payloads: bytes, between: bytes = b"") -> bytes:
    """One compressed message: a frame for each payload, and other frames between them."""
    last = len(payloads) - 1
    return between.join(
        frame(Opcode.CONTINUATION if index else Opcode.BINARY, payload, fin=index == last, rsv1=index == 0)
        for index, payload in enumerate(payloads)
    )


def deflated(data: bytes, *, window: bytes = b"", final: bool = False) -> bytes:
    """The data as zlib deflates it: flushed and cut for a message (§7.2.1), or ended by a final block."""
    stream = zlib.compressobj(wbits=-15, zdict=window)
    return stream.compress(data) + (stream.flush() if final else stream.flush(zlib.Z_SYNC_FLUSH)[:-4])


def receive(ext: PerMessageDeflate, data: bytes, chunk: int | None = None) -> list[Event]:
    """All events of the bytes, given at once or in chunks; they do not depend on which."""
    connection, events = Connection(CLIENT, [ext]), list[Event]()
    step = chunk or len(data)
    for start in range(0, len(data), step):
        connection.receive_data(data[start : start + step])
        events += connection.events()
    return events


def messages(events: list[Event]) -> list[bytes]:
    """The messages, whole; anything but messages and pings among the events is a failure."""
    whole, parts = list[bytes](), list[bytes]()
    for event in events:
        assert isinstance(event, (Message, Ping)), event
        if isinstance(event, Message):
            parts.append(event.data.encode() if isinstance(event, TextMessage) else bytes(event.data))
            if event.message_finished:
                whole.append(b"".join(parts))
                parts.clear()
    assert not parts
    return whole


def close_code(events: list[Event]) -> int:
    assert isinstance(events[-1], CloseConnection), events
    return events[-1].code


def sent(ext: PerMessageDeflate, *fragments: bytes) -> list[bytes]:
    """The payloads of the frames of one message, as the extension sends it."""
    connection = Connection(SERVER, [ext])
    payloads = list[bytes]()
    for index, fragment in enumerate(fragments):
        final = index == len(fragments) - 1
        wire = connection.send(BytesMessage(data=fragment, message_finished=final))
        assert wire[0] == (final << 7 | (index == 0) << 6 | (Opcode.CONTINUATION if index else Opcode.BINARY))
        payloads.append(wire[{126: 4, 127: 10}.get(wire[1], 2) :])
    return payloads


def noise(size: int) -> bytes:
    return random.Random(size).randbytes(size)


CHUNKS = pytest.mark.parametrize("chunk", [None, 1, 2, 3], ids=["at once", "by 1", "by 2", "by 3"])


class WatchedZlib:
    """Stands for zlib in the module under test: what is made there, and what its decompressors take and give."""

    def __init__(self) -> None:
        self.compressors = weakref.WeakSet[_Watched]()
        self.decompressors = weakref.WeakSet[_Watched]()
        self.wbits = list[int]()
        self.windows = list[bytes]()
        self.made = 0
        self.taken = 0
        self.given = 0

    def __getattr__(self, name: str) -> object:
        return getattr(zlib, name)

    def compressobj(self, level: int, method: int, wbits: int, memory_level: int) -> _Watched:
        self.made += 1
        watched = _Watched(self, zlib.compressobj(level, method, wbits, memory_level))
        self.compressors.add(watched)
        return watched

    def decompressobj(self, wbits: int, window: bytes) -> _Watched:
        self.made += 1
        self.wbits.append(wbits)
        self.windows.append(window)
        watched = _Watched(self, zlib.decompressobj(wbits, window))
        self.decompressors.add(watched)
        return watched


class _Watched:
    def __init__(self, watch: WatchedZlib, stream: Any) -> None:
        self._watch = watch
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def decompress(self, data: bytes, max_length: int) -> bytes:
        output: bytes = self._stream.decompress(data, max_length)
        self._watch.taken += len(data)
        self._watch.given += len(output)
        return output


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> WatchedZlib:
    watched = WatchedZlib()
    monkeypatch.setattr("polysocket._core.deflate.zlib", watched)
    return watched


# --- negotiation (§7.1) ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "text"),
    [
        (Deflate(), "permessage-deflate; client_max_window_bits"),
        (Deflate(client_max_window_bits=10), "permessage-deflate; client_max_window_bits=10"),
        (
            Deflate(server_max_window_bits=8),
            "permessage-deflate; server_max_window_bits=8; client_max_window_bits",
        ),
        (
            Deflate(True, True, 15, 8),
            (
                "permessage-deflate; server_no_context_takeover; client_no_context_takeover; "
                "server_max_window_bits=15; client_max_window_bits=8"
            ),
        ),
    ],
)
def test_the_offer_says_what_is_configured_and_always_client_max_window_bits(config: Deflate, text: str) -> None:
    assert offer(config) == text


@pytest.mark.parametrize(
    ("config", "answer", "agreed"),
    [
        (Deflate(), [], DeflateParameters()),
        (
            Deflate(),  # a server may limit itself without being asked (§7.1.1.1, §7.1.2.1)
            [("server_no_context_takeover", None), ("server_max_window_bits", "8")],
            DeflateParameters(server_no_context_takeover=True, server_max_window_bits=8),
        ),
        (
            Deflate(),
            [("client_max_window_bits", "15"), ("client_no_context_takeover", None)],
            DeflateParameters(client_no_context_takeover=True, client_max_window_bits=15),
        ),
        (
            Deflate(server_max_window_bits=12),
            [("server_max_window_bits", "12")],
            DeflateParameters(server_max_window_bits=12),
        ),
        (
            Deflate(server_no_context_takeover=True),
            [("server_no_context_takeover", None)],
            DeflateParameters(server_no_context_takeover=True),
        ),
        (
            Deflate(client_no_context_takeover=True, client_max_window_bits=9),  # holds without an answer to it
            [],
            DeflateParameters(client_no_context_takeover=True, client_max_window_bits=9),
        ),
        (
            Deflate(client_max_window_bits=10),
            [("client_max_window_bits", "8")],
            DeflateParameters(client_max_window_bits=8),
        ),
        (
            Deflate(client_max_window_bits=10),  # the server may ignore the value offered (§7.1.2.2); we keep to it
            [("client_max_window_bits", "12")],
            DeflateParameters(client_max_window_bits=10),
        ),
    ],
)
def test_the_client_takes_an_answer_within_its_offer(
    config: Deflate, answer: Parameters, agreed: DeflateParameters
) -> None:
    assert agree(config, answer, None).parameters == agreed


MALFORMED: list[tuple[Parameters, str]] = [
    ([("unknown", None)], "no parameter 'unknown'"),
    ([("Server_No_Context_Takeover", None)], "no parameter 'Server_No_Context_Takeover'"),
    ([("", None)], "no parameter ''"),
    ([("server_no_context_takeover", None)] * 2, "server_no_context_takeover is there twice"),
    ([("client_max_window_bits", "9"), ("client_max_window_bits", "10")], "client_max_window_bits is there twice"),
    ([("server_no_context_takeover", "")], "server_no_context_takeover takes no value, but has ''"),
    ([("server_no_context_takeover", "true")], "server_no_context_takeover takes no value, but has 'true'"),
    ([("client_no_context_takeover", "1")], "client_no_context_takeover takes no value, but has '1'"),
    ([("server_max_window_bits", None)], "server_max_window_bits needs a number from 8 to 15, but has None"),
    *(
        ([(name, value)], f"{name} needs a number from 8 to 15, but has {value!r}")
        for name in ("server_max_window_bits", "client_max_window_bits")
        for value in ["", "7", "16", "0", "-9", "+9", "07", "08", "010", "8.0", "1e1", "abc", "0x9", " 9", "1_0", "٩"]
    ),
]


@pytest.mark.parametrize(
    ("config", "answer", "complaint"),
    [
        *((Deflate(), answer, complaint) for answer, complaint in MALFORMED),
        (Deflate(), [("client_max_window_bits", None)], "client_max_window_bits needs a value"),
        (Deflate(server_no_context_takeover=True), [], "lacks server_no_context_takeover"),
        (Deflate(server_max_window_bits=10), [], "lacks server_max_window_bits"),
        (Deflate(server_max_window_bits=10), [("server_max_window_bits", "11")], "server_max_window_bits=11, above 10"),
    ],
)
def test_the_client_refuses_a_wrong_answer_and_says_what_is_wrong(
    config: Deflate, answer: Parameters, complaint: str
) -> None:
    with pytest.raises(InvalidUpgrade) as refused:
        agree(config, answer, None)
    assert complaint in str(refused.value)


@pytest.mark.parametrize("offered", [offered for offered, _ in MALFORMED])
def test_the_server_declines_a_malformed_offer(offered: Parameters) -> None:
    assert accept(Deflate(), offered, None) is None


@pytest.mark.parametrize(
    ("config", "offered", "answer"),
    [
        (Deflate(), [], ""),
        (Deflate(), [("client_max_window_bits", None)], ""),
        (Deflate(), [("client_max_window_bits", "10")], "; client_max_window_bits=10"),
        (Deflate(client_max_window_bits=9), [("client_max_window_bits", None)], "; client_max_window_bits=9"),
        (Deflate(client_max_window_bits=9), [("client_max_window_bits", "8")], "; client_max_window_bits=8"),
        (Deflate(client_max_window_bits=9), [("client_max_window_bits", "12")], "; client_max_window_bits=9"),
        (Deflate(client_max_window_bits=9), [], ""),  # it MUST NOT be answered to an offer without it (§7.1.2.2)
        (Deflate(), [("server_max_window_bits", "8")], "; server_max_window_bits=8"),
        (Deflate(server_max_window_bits=11), [], "; server_max_window_bits=11"),
        (Deflate(server_max_window_bits=11), [("server_max_window_bits", "12")], "; server_max_window_bits=11"),
        (Deflate(server_max_window_bits=11), [("server_max_window_bits", "10")], "; server_max_window_bits=10"),
        (Deflate(), [("server_no_context_takeover", None)], "; server_no_context_takeover"),
        (Deflate(), [("client_no_context_takeover", None)], "; client_no_context_takeover"),
        (Deflate(True, True), [], "; server_no_context_takeover; client_no_context_takeover"),
    ],
)
def test_the_server_answers_what_was_offered_and_what_it_insists_on(
    config: Deflate, offered: Parameters, answer: str
) -> None:
    accepted = accept(config, offered, None)
    assert accepted is not None
    assert accepted[0] == str(accepted[1].parameters) == "permessage-deflate" + answer


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: agree(Deflate(), [("client_no_context_takeover", None)], None), "out"),
        (lambda: agree(Deflate(), [("server_no_context_takeover", None)], None), "in"),
        (lambda: _accepted([("server_no_context_takeover", None)]), "out"),
        (lambda: _accepted([("client_no_context_takeover", None)]), "in"),
    ],
    ids=["client's own", "client's peer", "server's own", "server's peer"],
)
def test_each_role_gives_its_own_compressor_its_own_parameters(
    make: Callable[[], PerMessageDeflate], field: str, watch: WatchedZlib
) -> None:
    ext = make()
    sent(ext, b"Hello")
    assert len(watch.compressors) == (field != "out")
    receive(ext, compressed(HELLO))
    assert len(watch.decompressors) == (field != "in")


def _accepted(offered: Parameters) -> PerMessageDeflate:
    accepted = accept(Deflate(), offered, None)
    assert accepted is not None
    return accepted[1]


def test_each_role_bounds_each_window_by_its_own_bits(watch: WatchedZlib) -> None:
    parameters = DeflateParameters(server_max_window_bits=9, client_max_window_bits=10)
    for role, size in ((CLIENT, 2**9), (SERVER, 2**10)):
        watch.windows.clear()
        receive(extension(parameters, role), compressed(deflated(noise(5000), final=True) + deflated(b"Hello")))
        assert [len(window) for window in watch.windows] == [0, size]


# --- receiving: the RFC's examples (§7.2.3) ---------------------------------------------------------------------------

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
def test_the_rfcs_examples_are_read_again_and_again(
    wire: str, parameters: DeflateParameters, chunk: int | None
) -> None:
    assert messages(receive(extension(parameters), bytes.fromhex(wire) * 3, chunk)) == [b"Hello"] * 3


def test_all_of_the_rfcs_examples_follow_each_other_on_one_connection() -> None:
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


# --- receiving: final blocks (§7.2.3.4) -------------------------------------------------------------------------------


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
def test_final_blocks_may_be_cut_by_fragments_anywhere(cut: int) -> None:
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
def test_with_context_takeover_the_window_survives_a_final_block_into_the_next_messages(chunk: int | None) -> None:
    text = noise(500)
    referring = deflated(text, window=text)
    assert len(referring) < 50
    wire = compressed(deflated(text, final=True) + b"\x00") + compressed(referring) * 2
    assert messages(receive(extension(), wire, chunk)) == [text] * 3


def test_the_window_before_final_blocks_reaches_back_over_many_messages() -> None:
    texts = [noise(size) for size in (20_000, 300, 400, 1)]
    referring = deflated(texts[0], window=b"".join(texts))
    assert len(referring) < 1000
    wire = b"".join(compressed(deflated(text)) for text in texts)
    wire += compressed(EMPTY_FINAL + referring)
    assert messages(receive(extension(), wire)) == [*texts, texts[0]]


@pytest.mark.parametrize("bits", range(8, 16))
def test_the_window_and_our_record_of_it_are_as_large_as_agreed_and_no_larger(bits: int, watch: WatchedZlib) -> None:
    text = noise(100_000)
    wire = compressed(deflated(text)) + compressed(deflated(b"more")) + compressed(EMPTY_FINAL + HELLO)
    receive(extension(DeflateParameters(server_max_window_bits=bits)), wire)
    assert watch.windows == [b"", (text + b"more")[-(2**bits) :]]
    assert watch.wbits == [-bits, -bits]


def test_without_context_takeover_no_window_reaches_the_next_message(watch: WatchedZlib) -> None:
    receive(extension(NO_TAKEOVER), compressed(HELLO) * 2 + compressed(FINAL_HELLO + b"\x00") * 2)
    assert watch.windows == [b"", b"", b"", b"Hello", b"", b"Hello"]


def test_many_final_blocks_in_one_frame_are_not_copied_again_and_again(watch: WatchedZlib) -> None:
    """What zlib leaves unused it copies: the copies grow with the message, not with its square."""
    count = 5000
    assert messages(receive(extension(), compressed(EMPTY_FINAL * count + HELLO))) == [b"Hello"]
    assert len(watch.windows) == count + 1
    assert watch.taken < 1100 * count


@CHUNKS
@pytest.mark.parametrize("parameters", [DeflateParameters(), NO_TAKEOVER], ids=["takeover", "no takeover"])
def test_a_message_without_the_octet_behind_its_final_block_does_no_harm(
    parameters: DeflateParameters, chunk: int | None
) -> None:
    """§7.2.1 asks the sender for it; without it the tail would be half a block and garble the next message."""
    wire = compressed(FINAL_HELLO) + compressed(HELLO) + compressed(FINAL_HELLO) * 2 + compressed(HELLO)
    assert messages(receive(extension(parameters), wire, chunk)) == [b"Hello"] * 5


@CHUNKS
@pytest.mark.parametrize("payloads", [[b""], [b"", b""]], ids=["one frame", "two fragments"])
def test_a_compressed_message_of_no_bytes_at_all_is_empty_and_does_no_harm(
    payloads: list[bytes], chunk: int | None
) -> None:
    wire = compressed(HELLO) + compressed(*payloads) + compressed(HELLO)
    assert messages(receive(extension(), wire, chunk)) == [b"Hello", b"", b"Hello"]


# --- receiving: what is not compressed (§6) ---------------------------------------------------------------------------


@CHUNKS
@pytest.mark.parametrize("parameters", [DeflateParameters(), NO_TAKEOVER], ids=["takeover", "no takeover"])
def test_control_frames_between_fragments_are_left_alone(parameters: DeflateParameters, chunk: int | None) -> None:
    pings = frame(Opcode.PING, HELLO) + frame(Opcode.PING, b"")
    wire = compressed(HELLO[:2], b"", HELLO[2:5], HELLO[5:], between=pings) + compressed(HELLO)
    events = receive(extension(parameters), wire, chunk)
    assert [bytes(event.payload) for event in events if isinstance(event, Ping)] == [HELLO, b""] * 3
    assert messages(events) == [b"Hello"] * 2


def test_a_close_between_fragments_is_read() -> None:
    wire = frame(Opcode.BINARY, HELLO[:3], fin=False, rsv1=True) + frame(Opcode.CLOSE, b"\x03\xe9away")
    assert receive(extension(), wire)[-1] == CloseConnection(code=1001, reason="away")


@pytest.mark.parametrize("opcode", [Opcode.PING, Opcode.PONG, Opcode.CLOSE])
@pytest.mark.parametrize("start", [b"", frame(Opcode.BINARY, HELLO[:3], fin=False, rsv1=True)], ids=["", "amid"])
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
def test_the_other_reserved_bits_stay_a_protocol_error(bit: int) -> None:
    wire = bytearray(compressed(HELLO))
    wire[0] |= bit
    assert close_code(receive(extension(), bytes(wire))) == 1002


@CHUNKS
@pytest.mark.parametrize("parameters", [DeflateParameters(), NO_TAKEOVER], ids=["takeover", "no takeover"])
def test_an_uncompressed_message_amid_compressed_ones_passes_through(
    parameters: DeflateParameters, chunk: int | None
) -> None:
    plain = frame(Opcode.BINARY, HELLO, fin=False) + frame(Opcode.PING, b"") + frame(Opcode.CONTINUATION, HELLO)
    wire = compressed(HELLO) + plain + frame(Opcode.BINARY, b"") + compressed(HELLO)
    assert messages(receive(extension(parameters), wire, chunk)) == [b"Hello", HELLO * 2, b"", b"Hello"]


def test_a_fragment_is_readable_before_the_next_one_comes() -> None:
    stream = zlib.compressobj(wbits=-15)
    fragment = stream.compress(b"Hello") + stream.flush(zlib.Z_SYNC_FLUSH)
    (event,) = receive(extension(), frame(Opcode.TEXT, fragment, fin=False, rsv1=True))
    assert event == TextMessage(data="Hello", frame_finished=True, message_finished=False)


def test_utf8_is_judged_behind_the_compression() -> None:
    assert close_code(receive(extension(), frame(Opcode.TEXT, deflated(b"\xff"), rsv1=True))) == 1007


# --- receiving: the bound ---------------------------------------------------------------------------------------------

LIMIT = 10_000


def packed(size: int) -> Iterator[tuple[str, bytes]]:
    """One message of so many bytes, packed in every way."""
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
def test_a_message_of_just_max_message_size_is_read(packing: str, chunk: int | None) -> None:
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


def test_the_bound_is_for_each_message_alone() -> None:
    wire = compressed(deflated(bytes(LIMIT))) * 5
    assert messages(receive(extension(max_message_size=LIMIT), wire)) == [bytes(LIMIT)] * 5


def test_a_bomb_in_an_endless_fragmented_message_is_refused(watch: WatchedZlib) -> None:
    bomb = zlib.compressobj(wbits=-15)
    payload = bomb.compress(bytes(64 << 20)) + bomb.flush(zlib.Z_SYNC_FLUSH)
    wire = frame(Opcode.BINARY, payload, fin=False, rsv1=True)
    assert close_code(receive(extension(max_message_size=LIMIT), wire, chunk=100)) == 1009
    assert watch.given <= LIMIT + 1


def test_none_is_no_bound() -> None:
    wire = compressed(deflated(bytes(5 << 20)))
    assert messages(receive(extension(max_message_size=None), wire)) == [bytes(5 << 20)]


# --- receiving: corrupt data ------------------------------------------------------------------------------------------


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
def test_corrupt_data_is_1007_and_the_failure_says_what_is_wrong(
    payload: bytes, complaint: str, chunk: int | None
) -> None:
    ext = extension()
    assert close_code(receive(ext, compressed(payload), chunk)) == 1007
    assert ext.failure is not None
    assert ext.failure.startswith("corrupt deflate data: ")
    assert complaint in ext.failure


# --- sending (§7.2.1) -------------------------------------------------------------------------------------------------


def test_messages_are_sent_as_in_the_rfcs_examples() -> None:
    """§7.2.3.1, and §7.2.3.2 with and without a shared window."""
    sharing, single = extension(role=SERVER), extension(NO_TAKEOVER, SERVER)
    assert sent(sharing, b"Hello") == [HELLO]
    assert sent(sharing, b"Hello") == [bytes.fromhex("f2 00 11 00 00")]
    assert sent(single, b"Hello") == sent(single, b"Hello") == [HELLO]


def test_fragments_are_flushed_and_only_the_last_loses_its_tail() -> None:
    """§7.2.3.5 and §7.2.3.6: each fragment can be read before the next comes."""
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


def test_where_a_flush_gives_nothing_an_empty_stored_block_is_appended(monkeypatch: pytest.MonkeyPatch) -> None:
    """§7.2.1: zlib may give nothing where nothing was compressed since its last flush."""

    class Silent:
        def __init__(self, *args: int) -> None: ...

        def compress(self, data: bytes) -> bytes:
            return b""

        def flush(self, mode: int) -> bytes:
            return b""

    monkeypatch.setattr("polysocket._core.deflate.zlib.compressobj", Silent)
    assert sent(extension(role=SERVER), b"") == [b"\x00"]
    assert sent(extension(role=SERVER), b"", b"") == [b"", b"\x00"]


@pytest.mark.parametrize("memory_level", [1, 8, 9])
@pytest.mark.parametrize("level", range(-1, 10))
def test_level_memory_level_and_window_bits_are_zlibs(level: int, memory_level: int) -> None:
    text = b"".join(noise(50) * 3 + bytes(200) for _ in range(50))
    for bits in range(9, 16):
        parameters = DeflateParameters(server_max_window_bits=bits)
        ext = extension(parameters, SERVER, config=Deflate(level=level, memory_level=memory_level))
        stream = zlib.compressobj(level, zlib.DEFLATED, -bits, memory_level)
        assert sent(ext, text) == [stream.compress(text) + stream.flush(zlib.Z_SYNC_FLUSH)[:-4]]


def inflated_byte_by_byte(payload: bytes, bits: int) -> bytes:
    """Inflate with a window of so many bits, and no more: zlib also looks back into what one call has put out."""
    stream, output = zlib.decompressobj(-bits), bytearray()
    for start in range(0, len(payload), 64):
        rest = payload[start : start + 64]
        while piece := stream.decompress(rest, 1):
            output += piece
            rest = stream.unconsumed_tail
    return bytes(output)


@pytest.mark.parametrize("level", [1, 6, 9])
@pytest.mark.parametrize("bits", range(8, 16))
def test_our_references_stay_within_the_agreed_window(bits: int, level: int) -> None:
    """Also with 8 bits, for which zlib compresses with 9: a receiver with a window of 256 bytes reads it."""
    window = 2**bits
    text = b"".join(noise(window - gap) * 2 for gap in (0, 1, 6, 7, 100, 200, window // 2)) + bytes(window)
    for role in (CLIENT, SERVER):
        parameters = DeflateParameters(server_max_window_bits=bits, client_max_window_bits=bits)
        (payload,) = sent(extension(parameters, role, config=Deflate(level=level)), text)
        assert len(payload) < len(text)
        assert inflated_byte_by_byte(payload + TAIL, bits) == text


def test_inflating_byte_by_byte_does_notice_a_larger_window() -> None:
    """The judge of the test above, judged."""
    (payload,) = sent(extension(DeflateParameters(server_max_window_bits=10), SERVER), noise(500) * 2)
    with pytest.raises(zlib.error, match="too far back"):
        inflated_byte_by_byte(payload + TAIL, 8)


def test_control_frames_are_sent_as_they_are() -> None:
    connection = Connection(SERVER, [extension(role=SERVER)])
    connection.send(BytesMessage(data=b"Hello", message_finished=False))
    assert connection.send(Ping(payload=b"Hello")) == b"\x89\x05Hello"
    assert connection.send(BytesMessage(data=b""))[2:] == b"\x00"
    assert connection.send(CloseConnection(code=1000)) == b"\x88\x02\x03\xe8"


# --- memory -----------------------------------------------------------------------------------------------------------


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


def test_no_context_takeover_frees_them_behind_each_message(watch: WatchedZlib) -> None:
    ext = extension(NO_TAKEOVER)
    for number in range(1, 4):
        sent(ext, b"He", b"llo")
        receive(ext, compressed(HELLO[:3], HELLO[3:]))
        assert watch.made == 2 * number
        assert not watch.compressors
        assert not watch.decompressors


def test_wsproto_has_nothing_left_to_negotiate() -> None:
    assert extension().enabled()
    assert not extension().offer()


def test_agreed_parameters_are_values() -> None:
    parameters = DeflateParameters(server_max_window_bits=10)
    assert replace(parameters) == extension(parameters).parameters
    assert len({parameters, replace(parameters)}) == 1
