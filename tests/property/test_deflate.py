"""permessage-deflate against other implementations: any messages, fragments, chunks of bytes and pings between.

The other side is this library, wsproto's extension, websockets', or zlib by hand where blocks are final (RFC 7692
§7.2.3.4). Each keeps to what the other implementations can do; what they can't stands beside it.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.exceptions import NegotiationError
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory, ServerPerMessageDeflateFactory
from websockets.extensions.permessage_deflate import PerMessageDeflate as WebsocketsDeflate
from websockets.frames import Opcode as WebsocketsOpcode
from websockets.protocol import CLIENT as WEBSOCKETS_CLIENT
from websockets.protocol import SERVER as WEBSOCKETS_SERVER
from websockets.protocol import Protocol
from wsproto import ConnectionType
from wsproto.connection import Connection
from wsproto.events import BytesMessage, CloseConnection, Event, Message, Ping, TextMessage
from wsproto.extensions import PerMessageDeflate as WsprotoDeflate
from wsproto.frame_protocol import Opcode

from polysocket.core.deflate import DeflateParameters, Parameters, PerMessageDeflate, accept, agree, offer
from polysocket.errors import InvalidUpgrade
from polysocket.request import Deflate

CLIENT, SERVER = ConnectionType.CLIENT, ConnectionType.SERVER
Content = list[bytes] | list[str]  # a message by its fragments
Sent = tuple[Content, bool]  # with a ping behind each fragment

fast = settings(deadline=None, max_examples=150)

repeats = st.builds(lambda data, times: data * times, st.binary(max_size=40), st.integers(1, 400))
binaries = st.lists(st.one_of(st.binary(max_size=200), repeats), min_size=1, max_size=4)
texts = st.lists(st.text(max_size=80), min_size=1, max_size=4)
conversations = st.lists(st.tuples(st.one_of(binaries, texts), st.booleans()), min_size=1, max_size=6)
bits = st.one_of(st.none(), st.integers(8, 15))
bits_of_others = st.one_of(st.none(), st.integers(9, 15))  # neither wsproto nor websockets has 8 on both sides
configs = st.builds(
    Deflate, st.booleans(), st.booleans(), bits, bits, level=st.integers(-1, 9), memory_level=st.integers(1, 9)
)
parameters = st.builds(DeflateParameters, st.booleans(), st.booleans(), bits, bits)
parameters_of_others = st.builds(DeflateParameters, st.booleans(), st.booleans(), bits_of_others, bits_of_others)
chunk_sizes = st.one_of(st.integers(1, 50), st.integers(1, 100_000))


def speak(connection: Connection, conversation: Sequence[Sent]) -> bytes:
    """The bytes of the messages."""
    wire = bytearray()
    for fragments, ping in conversation:
        for index, fragment in enumerate(fragments):
            finished = index == len(fragments) - 1
            if isinstance(fragment, str):
                wire += connection.send(TextMessage(data=fragment, message_finished=finished))
            else:
                wire += connection.send(BytesMessage(data=fragment, message_finished=finished))
            if ping:
                wire += connection.send(Ping(payload=b"\xf2\x48"))
    return bytes(wire)


def listen(connection: Connection, wire: bytes, chunk: int) -> list[Event]:
    events = list[Event]()
    for start in range(0, len(wire), chunk):
        connection.receive_data(wire[start : start + chunk])
        events += connection.events()
    return events


def frames(events: Sequence[Event]) -> list[str | bytes | None]:
    """The content of the frames, each put together of its events; None for a ping."""
    heard, frame = list[str | bytes | None](), list[Message]()
    for event in events:
        if isinstance(event, Ping):
            assert event.payload == b"\xf2\x48"
            heard.append(None)
            continue
        assert isinstance(event, Message), event
        frame.append(event)
        if event.frame_finished:
            heard.append(type(event.data)().join(part.data for part in frame))
            frame.clear()
    assert not frame
    return heard


def spoken(conversation: Sequence[Sent]) -> list[str | bytes | None]:
    return [part for fragments, ping in conversation for fragment in fragments for part in ((fragment, None) if ping else (fragment,))]


# --- both sides ours --------------------------------------------------------------------------------------------------


@fast
@given(conversations, conversations, parameters, configs, configs, chunk_sizes)
def test_two_of_us_understand_each_other(
    first: list[Sent], second: list[Sent], agreed: DeflateParameters, one: Deflate, two: Deflate, chunk: int
) -> None:
    client = Connection(CLIENT, [PerMessageDeflate(CLIENT, agreed, one, 1 << 20)])
    server = Connection(SERVER, [PerMessageDeflate(SERVER, agreed, two, 1 << 20)])
    for conversation in (first, second):
        assert frames(listen(server, speak(client, conversation), chunk)) == spoken(conversation)
        assert frames(listen(client, speak(server, conversation), chunk)) == spoken(conversation)


# --- the other side is wsproto ----------------------------------------------------------------------------------------


def wsprotos(agreed: DeflateParameters) -> WsprotoDeflate:
    theirs = WsprotoDeflate()
    theirs.finalize(str(agreed))
    return theirs


@fast
@given(conversations, parameters_of_others, configs, chunk_sizes, st.sampled_from([CLIENT, SERVER]))
def test_we_read_what_wsproto_sends(
    conversation: list[Sent], agreed: DeflateParameters, config: Deflate, chunk: int, role: ConnectionType
) -> None:
    ours = Connection(role, [PerMessageDeflate(role, agreed, config, 1 << 20)])
    theirs = Connection(SERVER if role is CLIENT else CLIENT, [wsprotos(agreed)])
    events = listen(ours, speak(theirs, conversation), chunk)
    # wsproto does not flush between fragments, so that their borders may move; the messages are the same.
    assert whole(events) == [type(fragments[0])().join(fragments) for fragments, _ in conversation]  # type: ignore[arg-type]


@fast
@given(conversations, parameters_of_others, configs, chunk_sizes, st.sampled_from([CLIENT, SERVER]))
def test_wsproto_reads_what_we_send(
    conversation: list[Sent], agreed: DeflateParameters, config: Deflate, chunk: int, role: ConnectionType
) -> None:
    without_pings = [(fragments, False) for fragments, _ in conversation]  # wsproto breaks on pings between fragments
    ours = Connection(role, [PerMessageDeflate(role, agreed, config, 1 << 20)])
    theirs = Connection(SERVER if role is CLIENT else CLIENT, [wsprotos(agreed)])
    assert frames(listen(theirs, speak(ours, without_pings), chunk)) == spoken(without_pings)


def whole(events: Sequence[Event]) -> list[str | bytes]:
    messages, parts = list[str | bytes](), list[str | bytes]()
    for event in events:
        if isinstance(event, Message):
            parts.append(event.data)
            if event.message_finished:
                messages.append(type(event.data)().join(parts))
                parts.clear()
    return messages


# --- the other side is websockets -------------------------------------------------------------------------------------


def websockets_side(agreed: DeflateParameters, role: ConnectionType) -> Protocol:
    client = (agreed.client_no_context_takeover, agreed.client_max_window_bits or 15)
    server = (agreed.server_no_context_takeover, agreed.server_max_window_bits or 15)
    local, remote = (client, server) if role is CLIENT else (server, client)
    protocol = Protocol(WEBSOCKETS_CLIENT if role is CLIENT else WEBSOCKETS_SERVER)
    protocol.extensions = [WebsocketsDeflate(remote[0], local[0], remote[1], local[1])]
    return protocol


def websockets_speak(protocol: Protocol, conversation: Sequence[Sent]) -> bytes:
    for fragments, ping in conversation:
        for index, fragment in enumerate(fragments):
            data = fragment.encode() if isinstance(fragment, str) else fragment
            fin = index == len(fragments) - 1
            if index:
                protocol.send_continuation(data, fin)
            elif isinstance(fragment, str):
                protocol.send_text(data, fin)
            else:
                protocol.send_binary(data, fin)
            if ping:
                protocol.send_ping(b"\xf2\x48")
    return b"".join(protocol.data_to_send())


@fast
@given(conversations, parameters_of_others, configs, chunk_sizes, st.sampled_from([CLIENT, SERVER]))
def test_we_and_websockets_understand_each_other(
    conversation: list[Sent], agreed: DeflateParameters, config: Deflate, chunk: int, role: ConnectionType
) -> None:
    ours = Connection(role, [PerMessageDeflate(role, agreed, config, 1 << 20)])
    theirs = websockets_side(agreed, SERVER if role is CLIENT else CLIENT)
    assert frames(listen(ours, websockets_speak(theirs, conversation), chunk)) == spoken(conversation)

    theirs.receive_data(speak(ours, conversation))
    assert theirs.parser_exc is None
    received = [
        None if frame.opcode is WebsocketsOpcode.PING else bytes(frame.data)
        for frame in theirs.events_received()
        if not isinstance(frame, (Request, Response))
    ]
    expected = [part.encode() if isinstance(part, str) else part for part in spoken(conversation)]
    assert received == expected


# --- the other side is zlib, with final blocks (§7.2.3.4) -------------------------------------------------------------


@st.composite
def messages_with_final_blocks(draw: st.DrawFn) -> list[list[tuple[bytes, bool]]]:
    """Messages of parts, each deflated into a stream of its own that a final block ends, or going on in the same."""
    part = st.tuples(st.one_of(st.binary(max_size=60), repeats), st.booleans())
    return draw(st.lists(st.lists(part, min_size=1, max_size=5), min_size=1, max_size=4))


class FinalBlocks:
    """A compressor that ends streams at will, and refers across their ends."""

    def __init__(self, wbits: int, takeover: bool) -> None:
        self._wbits = max(wbits, 9)
        self._takeover = takeover
        self._window = b""
        self._stream = zlib.compressobj(wbits=-self._wbits)

    def message(self, parts: Sequence[tuple[bytes, bool]]) -> bytes:
        if not self._takeover:
            self._window = b""
            self._restart()
        payload = b"".join(self._part(data, final) for data, final in parts)
        payload += self._stream.compress(b"") + self._stream.flush(zlib.Z_SYNC_FLUSH)
        return payload[:-4]

    def _part(self, data: bytes, final: bool) -> bytes:
        self._window = (self._window + data)[-(1 << 15) :]
        output = self._stream.compress(data)
        if final:
            output += self._stream.flush()
            self._restart()
        return output

    def _restart(self) -> None:
        window = self._window[-(2**self._wbits - 262) :]
        self._stream = zlib.compressobj(wbits=-self._wbits, zdict=window)


def framed(payload: bytes, cuts: Sequence[int]) -> bytes:
    """A server's compressed message, its payload cut into fragments with pings between."""
    borders = [0, *sorted({cut % (len(payload) + 1) for cut in cuts}), len(payload)]
    wire = bytearray()
    for index, (start, end) in enumerate(zip(borders, borders[1:], strict=False)):
        final = index == len(borders) - 2
        head = final << 7 | (index == 0) << 6 | (Opcode.CONTINUATION if index else Opcode.BINARY)
        wire += bytes([head, 127]) + (end - start).to_bytes(8, "big") if end - start > 65535 else bytes([head])
        wire += length(end - start) if end - start <= 65535 else b""
        wire += payload[start:end] + (b"" if final else b"\x89\x02\xf2\x48")
    return bytes(wire)


def length(size: int) -> bytes:
    return bytes([size]) if size < 126 else b"\x7e" + size.to_bytes(2, "big")


@fast
@given(messages_with_final_blocks(), st.booleans(), st.integers(8, 15), st.lists(st.integers(0)), chunk_sizes)
def test_final_blocks_are_read_wherever_they_are(
    messages: list[list[tuple[bytes, bool]]], takeover: bool, wbits: int, cuts: list[int], chunk: int
) -> None:
    sender = FinalBlocks(wbits, takeover)
    agreed = DeflateParameters(server_no_context_takeover=not takeover, server_max_window_bits=wbits)
    ours = Connection(CLIENT, [PerMessageDeflate(CLIENT, agreed, Deflate(), 1 << 20)])
    for parts in messages:
        events = listen(ours, framed(sender.message(parts), cuts), chunk)
        assert b"".join(bytes(event.data) for event in events if isinstance(event, BytesMessage)) == b"".join(
            data for data, _ in parts
        )
        assert not any(isinstance(event, CloseConnection) for event in events)


# --- hostile input ----------------------------------------------------------------------------------------------------


@fast
@given(
    messages_with_final_blocks(), st.integers(1, 5000), st.booleans(), st.lists(st.integers(0)), chunk_sizes
)
def test_no_message_gives_more_than_its_bound(
    messages: list[list[tuple[bytes, bool]]], limit: int, takeover: bool, cuts: list[int], chunk: int
) -> None:
    sender = FinalBlocks(15, takeover)
    agreed = DeflateParameters(server_no_context_takeover=not takeover)
    ext = PerMessageDeflate(CLIENT, agreed, Deflate(), limit)
    ours = Connection(CLIENT, [ext])
    for parts in messages:
        message = b"".join(data for data, _ in parts)
        events = listen(ours, framed(sender.message(parts), cuts), chunk)
        got = b"".join(bytes(event.data) for event in events if isinstance(event, BytesMessage))
        if len(message) > limit:
            assert [event.code for event in events if isinstance(event, CloseConnection)] == [1009]
            assert ext.failure is not None
            assert got == message[: len(got)]
            assert len(got) <= limit
            return
        assert got == message


@fast
@given(
    st.lists(st.one_of(st.binary(max_size=100), repeats), min_size=1, max_size=4),
    st.lists(st.tuples(st.integers(0), st.integers(0, 255)), max_size=3),
    parameters,
    st.lists(st.integers(0)),
    chunk_sizes,
)
def test_garbage_is_data_or_1007_or_1009_and_never_an_exception(
    payloads: list[bytes],
    flips: list[tuple[int, int]],
    agreed: DeflateParameters,
    cuts: list[int],
    chunk: int,
) -> None:
    ext = PerMessageDeflate(CLIENT, agreed, Deflate(), 1000)
    ours = Connection(CLIENT, [ext])
    stream = zlib.compressobj(wbits=-15)
    for data in payloads:
        payload = bytearray(stream.compress(data) + stream.flush(zlib.Z_SYNC_FLUSH) or b"\x00")
        for position, value in flips:
            payload[position % len(payload)] ^= value
        events = listen(ours, framed(bytes(payload), cuts), chunk)
        assert sum(len(event.data) for event in events if isinstance(event, BytesMessage)) <= 1000
        closes = [event for event in events if isinstance(event, CloseConnection)]
        if closes:
            assert closes[0].code in (1007, 1009)
            assert ext.failure is not None
            return
        assert ext.failure is None


# --- negotiation ------------------------------------------------------------------------------------------------------


def tokens(header: str) -> list[tuple[str, str | None]]:
    """The parameters of a header that quotes nothing."""
    name, *params = header.split("; ")
    assert name == "permessage-deflate"
    return [(key, value if equals else None) for key, equals, value in (param.partition("=") for param in params)]


@fast
@given(configs, configs)
def test_any_two_configurations_agree_and_both_sides_on_the_same(client: Deflate, server: Deflate) -> None:
    accepted = accept(server, tokens(offer(client)), None)
    assert accepted is not None
    answer, server_side = accepted
    client_side = agree(client, tokens(answer), None)
    assert client_side.parameters == server_side.parameters or client_keeps_a_promise(client, server_side.parameters)


def client_keeps_a_promise(client: Deflate, agreed: DeflateParameters) -> bool:
    raise NotImplementedError


names = st.sampled_from(
    ["server_no_context_takeover", "client_no_context_takeover", "server_max_window_bits", "client_max_window_bits", "x"]
)
values = st.one_of(st.none(), st.integers(0, 20).map(str), st.sampled_from(["", "08", "+9", "8.0", "abc"]))
any_params = st.lists(st.tuples(names, values), max_size=4)


@fast
@given(any_params, configs)
def test_we_accept_the_offers_that_websockets_accepts_with_the_same_answer(offered: Parameters, config: Deflate) -> None:
    raise NotImplementedError
