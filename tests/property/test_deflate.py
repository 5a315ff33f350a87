"""permessage-deflate compared with other implementations, for any messages, fragments, chunks and Pings between them.

The peer is polysocket, wsproto, websockets, or, for final blocks (RFC 7692 §7.2.3.4), plain zlib. Each test keeps to
the abilities of its peer; a comment says which one is missing.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from websockets.exceptions import NegotiationError
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory, ServerPerMessageDeflateFactory
from websockets.extensions.permessage_deflate import PerMessageDeflate as WebsocketsDeflate
from websockets.frames import Frame
from websockets.frames import Opcode as WebsocketsOpcode
from websockets.headers import parse_extension
from websockets.protocol import Protocol, Side
from wsproto import ConnectionType
from wsproto.connection import Connection
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, TextMessage
from wsproto.extensions import PerMessageDeflate as WsprotoDeflate
from wsproto.frame_protocol import FrameProtocol

from polysocket._core.deflate import DeflateParameters, Parameters, PerMessageDeflate, accept, agree, offer
from polysocket._core.failure import Refused
from polysocket._core.zlib_streams import Inflater
from polysocket.compression import Deflate
from polysocket.errors import InvalidUpgrade
from tests.examples import examples
from tests.wsproto_extension import WsprotoExtension

CLIENT, SERVER = ConnectionType.CLIENT, ConnectionType.SERVER
Content = Sequence[str | bytes]  # a message by its fragments
Sent = tuple[Content, bool]  # and whether a Ping follows each fragment
PING = b"\xf2\x48"
TAIL = b"\x00\x00\xff\xff"

fast = examples(100)

repeats = st.tuples(st.binary(max_size=40), st.integers(1, 400)).map(lambda pair: pair[0] * pair[1])
binaries = st.lists(st.one_of(st.binary(max_size=200), repeats), min_size=1, max_size=4)
texts = st.lists(st.text(max_size=80), min_size=1, max_size=4)
conversations = st.lists(st.tuples(st.one_of(binaries, texts), st.booleans()), min_size=1, max_size=6)
bits = st.one_of(st.none(), st.integers(8, 15))
bits_of_others = st.one_of(st.none(), st.integers(9, 15))  # neither wsproto nor websockets supports 8 in both roles
configs = st.builds(
    Deflate,
    st.booleans(),
    st.booleans(),
    bits,
    bits,
    window_bits=st.integers(9, 15),
    level=st.integers(-1, 9),
    memory_level=st.integers(1, 9),
)
parameters = st.builds(DeflateParameters, st.booleans(), st.booleans(), bits, bits)
parameters_of_others = st.builds(DeflateParameters, st.booleans(), st.booleans(), bits_of_others, bits_of_others)
chunk_sizes = st.one_of(st.integers(1, 50), st.integers(1, 100_000))


def speak(connection: Connection, conversation: Sequence[Sent]) -> bytes:
    """Send the messages; return their bytes."""
    wire = bytearray()
    for fragments, ping in conversation:
        for index, fragment in enumerate(fragments):
            finished = index == len(fragments) - 1
            if isinstance(fragment, str):
                wire += connection.send(TextMessage(data=fragment, message_finished=finished))
            else:
                wire += connection.send(BytesMessage(data=fragment, message_finished=finished))
            if ping:
                wire += connection.send(Ping(payload=PING))
    return bytes(wire)


def listen(connection: Connection, wire: bytes, chunk: int) -> list[Event]:
    events = list[Event]()
    for start in range(0, len(wire), chunk):
        connection.receive_data(wire[start : start + chunk])
        events += connection.events()
    return events


def frames(events: Sequence[Event]) -> list[str | bytes | None]:
    """Join the events of each frame; a Ping becomes None."""
    heard, parts = list[str | bytes | None](), list[str | bytes]()
    for event in events:
        if isinstance(event, Ping):
            assert event.payload == PING
            heard.append(None)
            continue
        assert isinstance(event, TextMessage | BytesMessage), event
        parts.append(event.data if isinstance(event, TextMessage) else bytes(event.data))
        if event.frame_finished:
            heard.append(joined(parts))
            parts.clear()
    assert not parts
    return heard


def whole(events: Sequence[Event]) -> list[str | bytes]:
    """Join the events of each message."""
    messages, parts = list[str | bytes](), list[str | bytes]()
    for event in events:
        assert isinstance(event, TextMessage | BytesMessage | Ping), event
        if not isinstance(event, Ping):
            parts.append(event.data if isinstance(event, TextMessage) else bytes(event.data))
            if event.message_finished:
                messages.append(joined(parts))
                parts.clear()
    assert not parts
    return messages


def joined(parts: Sequence[str | bytes]) -> str | bytes:
    if isinstance(parts[0], str):
        return "".join(part for part in parts if isinstance(part, str))
    return b"".join(part for part in parts if not isinstance(part, str))


def spoken(conversation: Sequence[Sent]) -> list[str | bytes | None]:
    return [
        part
        for fragments, ping in conversation
        for fragment in fragments
        for part in ([fragment, None] if ping else [fragment])
    ]


# The peer is polysocket


@fast
@given(conversations, conversations, parameters, configs, configs, chunk_sizes)
def test_two_polysocket_peers_understand_each_other(
    first: list[Sent], second: list[Sent], agreed: DeflateParameters, one: Deflate, two: Deflate, chunk: int
) -> None:
    client = Connection(CLIENT, [WsprotoExtension(PerMessageDeflate(CLIENT, agreed, one, 1 << 20))])
    server = Connection(SERVER, [WsprotoExtension(PerMessageDeflate(SERVER, agreed, two, 1 << 20))])
    for conversation in (first, second):
        assert frames(listen(server, speak(client, conversation), chunk)) == spoken(conversation)
        assert frames(listen(client, speak(server, conversation), chunk)) == spoken(conversation)


# The peer is wsproto


def wsprotos(agreed: DeflateParameters) -> WsprotoDeflate:
    theirs = WsprotoDeflate()
    theirs.finalize(str(agreed))
    return theirs


@fast
@given(conversations, parameters_of_others, configs, chunk_sizes, st.sampled_from([CLIENT, SERVER]))
def test_polysocket_reads_the_messages_of_wsproto(
    conversation: list[Sent], agreed: DeflateParameters, config: Deflate, chunk: int, role: ConnectionType
) -> None:
    ours = Connection(role, [WsprotoExtension(PerMessageDeflate(role, agreed, config, 1 << 20))])
    theirs = Connection(SERVER if role is CLIENT else CLIENT, [wsprotos(agreed)])
    events = listen(ours, speak(theirs, conversation), chunk)
    # wsproto does not flush between fragments: their borders may move, but the messages are the same.
    assert whole(events) == [joined(fragments) for fragments, _ in conversation]


@fast
@given(conversations, parameters_of_others, configs, chunk_sizes, st.sampled_from([CLIENT, SERVER]))
def test_wsproto_reads_the_messages_of_polysocket(
    conversation: list[Sent], agreed: DeflateParameters, config: Deflate, chunk: int, role: ConnectionType
) -> None:
    without_pings = [(fragments, False) for fragments, _ in conversation]  # wsproto fails at Pings between fragments
    ours = Connection(role, [WsprotoExtension(PerMessageDeflate(role, agreed, config, 1 << 20))])
    theirs = Connection(SERVER if role is CLIENT else CLIENT, [wsprotos(agreed)])
    assert frames(listen(theirs, speak(ours, without_pings), chunk)) == spoken(without_pings)


# The peer is websockets


def websockets_side(agreed: DeflateParameters, role: ConnectionType) -> Protocol:
    client = (agreed.client_no_context_takeover, agreed.client_max_window_bits or 15)
    server = (agreed.server_no_context_takeover, agreed.server_max_window_bits or 15)
    local, remote = (client, server) if role is CLIENT else (server, client)
    protocol = Protocol(Side.CLIENT if role is CLIENT else Side.SERVER)
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
                protocol.send_ping(PING)
    return b"".join(protocol.data_to_send())


@fast
@given(conversations, parameters_of_others, configs, chunk_sizes, st.sampled_from([CLIENT, SERVER]))
def test_polysocket_and_websockets_understand_each_other(
    conversation: list[Sent], agreed: DeflateParameters, config: Deflate, chunk: int, role: ConnectionType
) -> None:
    ours = Connection(role, [WsprotoExtension(PerMessageDeflate(role, agreed, config, 1 << 20))])
    theirs = websockets_side(agreed, SERVER if role is CLIENT else CLIENT)
    assert frames(listen(ours, websockets_speak(theirs, conversation), chunk)) == spoken(conversation)

    theirs.receive_data(speak(ours, conversation))
    assert theirs.parser_exc is None
    received = [frame for frame in theirs.events_received() if isinstance(frame, Frame)]
    assert [None if frame.opcode is WebsocketsOpcode.PING else bytes(frame.data) for frame in received] == [
        part.encode() if isinstance(part, str) else part for part in spoken(conversation)
    ]


# The peer is zlib, with final blocks (§7.2.3.4)


Part = tuple[bytes, bool]  # and whether a final block ends it

final_blocks = st.lists(
    st.lists(st.tuples(st.one_of(st.binary(max_size=60), repeats), st.booleans()), min_size=1, max_size=5),
    min_size=1,
    max_size=4,
)


class FinalBlocks:
    """A compressor that ends its stream on request, and refers back across the ends."""

    def __init__(self, window_bits: int, context_takeover: bool) -> None:
        self._window_bits = max(window_bits, 9)
        self._context_takeover = context_takeover
        self._window = b""
        self._restart()

    def message(self, parts: Sequence[Part]) -> bytes:
        """Return the payload of a message that has these parts."""
        if not self._context_takeover:
            self._window = b""
            self._restart()
        payload = b"".join(self._part(data, final) for data, final in parts)
        return (payload + self._stream.compress(b"") + self._stream.flush(zlib.Z_SYNC_FLUSH))[:-4]

    def _part(self, data: bytes, final: bool) -> bytes:
        self._window = (self._window + data)[-(1 << 15) :]
        output = self._stream.compress(data)
        if final:
            output += self._stream.flush()
            self._restart()
        return output

    def _restart(self) -> None:
        self._stream = zlib.compressobj(wbits=-self._window_bits, zdict=self._window)


def compressed(payload: bytes, cuts: Sequence[int]) -> bytes:
    """Return a compressed message of a server, its payload cut into fragments with Pings between them."""
    borders = [0, *sorted(cut % (len(payload) + 1) for cut in cuts), len(payload)]
    fragments = [payload[start:end] for start, end in pairwise(borders)]
    protocol = FrameProtocol(client=False, extensions=[])
    wire = bytearray()
    for index, fragment in enumerate(fragments):
        at = len(wire)
        wire += protocol.send_data(fragment, fin=index == len(fragments) - 1)
        wire[at] |= 0 if index else 0x40
        wire += b"" if index == len(fragments) - 1 else protocol.ping(PING)
    return bytes(wire)


@fast
@given(final_blocks, st.booleans(), st.integers(8, 15), st.lists(st.integers(0)), chunk_sizes)
def test_final_blocks_are_read_at_any_position(
    messages: list[list[Part]], takeover: bool, wbits: int, cuts: list[int], chunk: int
) -> None:
    sender = FinalBlocks(wbits, takeover)
    agreed = DeflateParameters(server_no_context_takeover=not takeover, server_max_window_bits=wbits)
    ours = Connection(CLIENT, [WsprotoExtension(PerMessageDeflate(CLIENT, agreed, Deflate(), 1 << 20))])
    for parts in messages:
        events = listen(ours, compressed(sender.message(parts), cuts), chunk)
        assert b"".join(bytes(event.data) for event in events if isinstance(event, BytesMessage)) == b"".join(
            data for data, _ in parts
        )
        assert not any(isinstance(event, CloseConnection) for event in events)


# Hostile input


@fast
@given(final_blocks, st.integers(1, 5000), st.booleans(), st.lists(st.integers(0)), chunk_sizes)
def test_no_message_inflates_beyond_its_limit(
    messages: list[list[Part]], limit: int, takeover: bool, cuts: list[int], chunk: int
) -> None:
    sender = FinalBlocks(15, takeover)
    agreed = DeflateParameters(server_no_context_takeover=not takeover)
    ext = WsprotoExtension(PerMessageDeflate(CLIENT, agreed, Deflate(), limit))
    ours = Connection(CLIENT, [ext])
    for parts in messages:
        message = b"".join(data for data, _ in parts)
        events = listen(ours, compressed(sender.message(parts), cuts), chunk)
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
def test_garbage_closes_with_1007_or_1009_if_it_is_not_data(
    payloads: list[bytes],
    flips: list[tuple[int, int]],
    agreed: DeflateParameters,
    cuts: list[int],
    chunk: int,
) -> None:
    ext = WsprotoExtension(PerMessageDeflate(CLIENT, agreed, Deflate(), 1000))
    ours = Connection(CLIENT, [ext])
    stream = zlib.compressobj(wbits=-15)
    for data in payloads:
        payload = bytearray(stream.compress(data) + stream.flush(zlib.Z_SYNC_FLUSH) or b"\x00")
        for position, value in flips:
            payload[position % len(payload)] ^= value
        events = listen(ours, compressed(bytes(payload), cuts), chunk)
        assert sum(len(event.data) for event in events if isinstance(event, BytesMessage)) <= 1000
        closes = [event for event in events if isinstance(event, CloseConnection)]
        if closes:
            assert closes[0].code in (1007, 1009)
            assert ext.failure is not None
            return
        assert ext.failure is None


# A whole message at once, as the fast path inflates it, is the same as its bytes in pieces


def inflated_in_pieces(inflater: Inflater, payload: bytes, chunk: int) -> bytes:
    """Inflate a message as its bytes arrive."""
    inflater.begin()
    inflater.begin_frame()
    output = b""
    for start in range(0, len(payload), chunk):
        output += inflater.feed(payload[start : start + chunk])
    return output + inflater.finish()


def inflated(inflate: Callable[[], bytes]) -> bytes | tuple[int, str]:
    """Return the message, or why it was refused."""
    try:
        return inflate()
    except Refused as refused:
        return refused.failure.code, refused.failure.detail


damages = st.lists(st.tuples(st.integers(0), st.integers(0, 255)), max_size=2)
endings = st.sampled_from([b"", b"", b"\x00", TAIL, b"\x03\x00", b"\x01\x00\x00\xff\xff", b"\x00\x00"])


@examples(300)
@given(
    final_blocks,
    st.lists(st.tuples(st.booleans(), endings, damages, st.booleans()), min_size=4, max_size=4),
    parameters,
    st.sampled_from([None, 50, 5000]),
    chunk_sizes,
)
def test_a_message_is_the_same_at_once_and_in_pieces(
    messages: list[list[Part]],
    changes: list[tuple[bool, bytes, list[tuple[int, int]], bool]],
    agreed: DeflateParameters,
    limit: int | None,
    chunk: int,
) -> None:
    sender = FinalBlocks(agreed.server_max_window_bits or 15, not agreed.server_no_context_takeover)
    at_once, in_pieces, mixed = (PerMessageDeflate(CLIENT, agreed, Deflate(), limit).inflater for _ in range(3))
    for parts, (lacks_last_octet, ending, damage, takes_pieces) in zip(messages, changes, strict=False):
        payload = bytearray(sender.message(parts))
        if lacks_last_octet:
            del payload[-1:]
        payload += ending
        for position, value in damage:
            # zlib accepts a distance beyond a smaller window if its end is in the same output.
            if payload and agreed.server_max_window_bits in (None, 15):
                payload[position % len(payload)] ^= value
        data = bytes(payload)
        expected = inflated(partial(inflated_in_pieces, in_pieces, data, chunk))
        assert inflated(partial(at_once.inflate_message, data)) == expected
        if takes_pieces:
            assert inflated(partial(inflated_in_pieces, mixed, data, chunk)) == expected
        else:
            assert inflated(partial(mixed.inflate_message, data)) == expected
        if isinstance(expected, tuple):
            return


# Negotiation


def tokens(header: str) -> Parameters:
    ((name, params),) = parse_extension(header)
    assert name == "permessage-deflate"
    return params


@fast
@given(configs, configs)
def test_client_and_server_agree_on_the_same_parameters_with_any_settings(client: Deflate, server: Deflate) -> None:
    accepted = accept(server, tokens(offer(client)), None)
    assert accepted is not None
    answer, server_side = accepted
    assert agree(client, tokens(answer), None).parameters == server_side.parameters


names = st.sampled_from(
    [f"{side}_{name}" for side in ("server", "client") for name in ("no_context_takeover", "max_window_bits")]
)
values = st.one_of(st.none(), st.integers(7, 16).map(str), st.sampled_from(["", "08", "+9", "8.0", "abc"]))
right_params = st.one_of(
    st.tuples(names.filter(lambda name: name.endswith("takeover")), st.none()),
    st.tuples(names.filter(lambda name: name.endswith("bits")), st.integers(8, 15).map(str)),
    st.just(("client_max_window_bits", None)),
)
wrong_params = st.tuples(st.one_of(names, st.just("x")), values)
any_params = st.one_of(st.lists(right_params, max_size=4), st.lists(wrong_params, max_size=4))


@fast
@given(any_params, configs)
def test_offers_are_answered_as_websockets_answers_them(offered: Parameters, config: Deflate) -> None:
    # websockets can't send with 8 window bits.
    assume(config.server_max_window_bits != 8 and ("server_max_window_bits", "8") not in offered)
    factory = ServerPerMessageDeflateFactory(
        config.server_no_context_takeover,
        config.client_no_context_takeover,
        config.server_max_window_bits,
        config.client_max_window_bits,
    )
    accepted = accept(config, offered, None)
    try:
        answer, _ = factory.process_request_params(offered, [])
    except NegotiationError:
        assert accepted is None
    else:
        assert accepted is not None
        assert set(tokens(accepted[0])) == set(answer)


@fast
@given(any_params, configs)
def test_answers_are_accepted_if_websockets_accepts_them(answer: Parameters, config: Deflate) -> None:
    # websockets can't send with 8 window bits, and refuses a limit above the offered one.
    ours = config.client_max_window_bits
    assume(ours != 8)
    assume(not any(name == "client_max_window_bits" and value in _above(ours) for name, value in answer))
    factory = ClientPerMessageDeflateFactory(
        config.server_no_context_takeover,
        config.client_no_context_takeover,
        config.server_max_window_bits,
        ours or True,
    )
    try:
        theirs = factory.process_response_params(answer, [])
    except NegotiationError:
        with pytest.raises(InvalidUpgrade):
            agree(config, answer, None)
    else:
        agreed = agree(config, answer, None).parameters
        assert agreed.client_no_context_takeover == theirs.local_no_context_takeover
        assert agreed.server_no_context_takeover == theirs.remote_no_context_takeover
        assert (agreed.client_max_window_bits or 15) == theirs.local_max_window_bits
        assert (agreed.server_max_window_bits or 15) == theirs.remote_max_window_bits


def _above(limit: int | None) -> list[str]:
    return ["8", *(str(bits) for bits in range((limit or 15) + 1, 16))]
