"""A connection compared with wsproto alone, on every input: the same frames and the same verdict, at the same byte.

wsproto is the oracle. The only allowed difference is a message over the limit, for which a model is the oracle.
With compression, both use polysocket's extension; its own property tests compare it with other implementations.
"""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import example, given
from hypothesis import strategies as st
from wsproto import ConnectionType

from polysocket._core.states import State
from polysocket.close_info import CloseCause
from polysocket.errors import MessageTooBig, ProtocolError
from polysocket.frames import Binary, Close, Frame, Ping, Pong, Text
from tests.connections import BINARY, CLIENT, CLOSE, CONT, PING, SERVER, TEXT, Connection, connect, other, take
from tests.examples import examples
from tests.oracle import Watched, chunks, compare

Message = Sequence[str | bytes]  # its fragments
Item = Message | Ping | Pong | Close
Step = tuple[Frame | Close, bool]  # a frame, and whether it continues a message

many = examples(200)

roles = st.sampled_from([CLIENT, SERVER])


# Frames to send

sizes = st.one_of(st.integers(0, 130), st.sampled_from([65535, 65536, 70000]))
text = st.one_of(st.text(max_size=40), st.builds(lambda size, unit: unit * (size // 4), sizes, st.sampled_from("aé𝄞")))
binary = st.one_of(st.binary(max_size=130), sizes.map(bytes))
small = st.binary(max_size=125)
reasons = st.text(max_size=30)
codes = st.sampled_from([1000, 1001, 1002, 1003, 1007, 1011, 1012, 1013, 3000, 3999, 4000, 4999])
closes = st.one_of(st.just(Close(1005)), st.builds(Close, codes, reasons))
messages = st.one_of(
    st.lists(text, min_size=1, max_size=1),
    st.lists(binary, min_size=1, max_size=1),
    st.lists(text, min_size=2, max_size=4),
    st.lists(binary, min_size=2, max_size=4),
)
controls = st.one_of(st.builds(Ping, small), st.builds(Pong, small))


@st.composite
def conversations(draw: st.DrawFn, *, may_close: bool = False) -> list[Step]:
    """Draw messages with control frames before, between and after their fragments; some end with a Close."""
    steps = list[Step]()
    for fragments in draw(st.lists(messages, max_size=5)):
        for index, payload in enumerate(fragments):
            final = index == len(fragments) - 1
            frame = Text(payload, final) if isinstance(payload, str) else Binary(payload, final)
            steps += [(control, False) for control in draw(st.lists(controls, max_size=1))]
            steps.append((frame, index > 0))
    if may_close and draw(st.booleans()):
        steps = steps[: draw(st.integers(0, len(steps)))]
        steps.append((draw(closes), False))
    return steps


def sent(connection: Connection, steps: Sequence[Step]) -> list[bytes]:
    """Send the frames; return the bytes of each."""
    pieces = list[bytes]()
    for frame, is_continuation in steps:
        connection.send(frame, is_continuation)
        pieces.append(connection.data_to_send())
    return pieces


# How the bytes are cut into chunks


@st.composite
def cuts(draw: st.DrawFn, size: int, borders: Sequence[int] = ()) -> list[int]:
    """Draw positions to cut at: none, every few bytes, any, or near the borders of frames; never very many."""
    positions = st.integers(0, size)
    least = size // 200 + 1
    regular = st.integers(least, max(least, 20)).map(lambda step: list(range(step, size, step)))
    ways = [st.just([]), regular, st.lists(positions, max_size=10)]
    if borders:
        about = st.builds(lambda border, offset: border + offset, st.sampled_from(borders), st.integers(-3, 15))
        ways.append(st.lists(about, max_size=10))
    return sorted({cut for cut in draw(st.one_of(ways)) if 0 < cut < size})


def borders(pieces: Sequence[bytes]) -> list[int]:
    ends = [0]
    for piece in pieces:
        ends.append(ends[-1] + len(piece))
    return ends


@many
@given(roles, st.booleans(), conversations(may_close=True), st.data(), st.booleans())
def test_valid_frames_are_read_as_wsproto_reads_them(
    role: ConnectionType, compressed: bool, steps: list[Step], data: st.DataObject, takes: bool
) -> None:
    pieces = sent(connect(other(role), compressed=compressed), steps)
    wire = b"".join(pieces)
    watched = compare(role, compressed, wire, data.draw(cuts(len(wire), borders(pieces))), takes)
    assert watched.verdict is None
    assert len(watched.frames) == len(steps)


@st.composite
def mutants(draw: st.DrawFn, wire: bytes, borders: Sequence[int]) -> bytes:
    """Flip, drop, double or insert some bytes, most often in a frame's header; or truncate the rest."""
    mutated = bytearray(wire)
    for _ in range(draw(st.integers(1, 3))):
        about = st.builds(lambda border, offset: border + offset, st.sampled_from(borders), st.integers(0, 13))
        position = min(draw(st.one_of(about, st.integers(0, len(wire)))), len(mutated))
        way = draw(st.sampled_from(["flip", "flip", "flip", "lose", "double", "put in", "cut"]))
        if way == "flip" and position < len(mutated):
            mutated[position] ^= 1 << draw(st.integers(0, 7))
        elif way == "lose":
            del mutated[position : position + draw(st.integers(1, 5))]
        elif way == "double":
            mutated[position:position] = mutated[position : position + draw(st.integers(1, 20))]
        elif way == "put in":
            mutated[position:position] = draw(st.binary(max_size=10))
        else:
            del mutated[position:]
    return bytes(mutated)


@many
@given(roles, st.booleans(), conversations(may_close=True), st.data(), st.booleans())
def test_mutated_frames_are_judged_as_wsproto_judges_them(
    role: ConnectionType, compressed: bool, steps: list[Step], data: st.DataObject, takes: bool
) -> None:
    pieces = sent(connect(other(role), compressed=compressed), steps)
    ends = borders(pieces)
    wire = data.draw(mutants(b"".join(pieces), ends))
    compare(role, compressed, wire, data.draw(cuts(len(wire), ends)), takes)


ODDITIES = ["opcode", "fin", "rsv", "masking", "size", "width"]
odd_payloads = st.one_of(
    st.binary(max_size=8),
    st.text(max_size=8).map(str.encode),
    st.sampled_from([b"\x03\xe8", b"\x03\xed", b"\xf0\x9d", b"\x84\x9e", b"\xf2\x48\xcd\xc9\xc9\x07\x00", b"\x00"]),
    sizes.map(bytes),
)


@st.composite
def strange_frames(draw: st.DrawFn, role: ConnectionType) -> bytes:
    """Draw a frame, often a fragment, that may have one defect."""
    odd = draw(st.sampled_from([*ODDITIES, "", "", "", "", "", ""]))
    opcode = draw(st.sampled_from([CONT, CONT, TEXT, TEXT, BINARY, BINARY, PING, CLOSE]))
    opcode = draw(st.integers(0, 15)) if odd == "opcode" else opcode
    fin = 0 if odd == "fin" or (opcode <= 2 and draw(st.booleans())) else 0x80
    rsv = draw(st.sampled_from([0x70, 0x40, 0x20, 0x10] if odd == "rsv" else [0, 0, 0, 0x40])) if opcode <= 2 else 0
    payload = draw(odd_payloads)
    payload = payload[:125] if opcode >= 8 and odd != "size" else payload
    masked = (role is SERVER) != (odd == "masking")
    size = len(payload) + (draw(st.sampled_from([1, 2**16, 2**63])) if odd == "size" else 0)
    shortest = 1 if size < 126 else 2 if size < 65536 else 8
    width = 8 if odd == "width" else shortest
    length = bytes([size]) if width == 1 else bytes([126 if width == 2 else 127]) + size.to_bytes(width, "big")
    head = bytes([fin | rsv | opcode])
    if not masked:
        return head + length + payload
    key = draw(st.binary(min_size=4, max_size=4))
    mask = (key * (len(payload) // 4 + 1))[: len(payload)]
    body = (int.from_bytes(payload, "big") ^ int.from_bytes(mask, "big")).to_bytes(len(payload), "big")
    return head + bytes([length[0] | 0x80]) + length[1:] + key + body


@many
@given(roles, st.booleans(), st.data(), st.booleans())
def test_strange_frames_are_judged_as_wsproto_judges_them(
    role: ConnectionType, compressed: bool, data: st.DataObject, takes: bool
) -> None:
    pieces = data.draw(st.lists(strange_frames(role), max_size=6))
    wire = b"".join(pieces)
    compare(role, compressed, wire, data.draw(cuts(len(wire), borders(pieces))), takes)


@many
@given(roles, st.booleans(), st.binary(max_size=60), st.data(), st.booleans())
@example(CLIENT, False, b"", None, True)
@example(CLIENT, False, b"\x82\x7f\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", None, True)
@example(SERVER, False, b"\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", None, False)
@example(SERVER, True, b"\xc1\x80\x00\x00\x00\x00" * 3, None, True)
def test_any_bytes_are_judged_as_wsproto_judges_them(
    role: ConnectionType, compressed: bool, wire: bytes, data: st.DataObject | None, takes: bool
) -> None:
    ways = [[], list(range(1, len(wire)))] if data is None else [data.draw(cuts(len(wire)))]
    for way in ways:
        compare(role, compressed, wire, way, takes)


# From one connection to another


@many
@given(roles, st.booleans(), conversations(may_close=True), st.data(), st.booleans())
def test_frames_that_one_connection_sends_are_received_by_another(
    role: ConnectionType, compressed: bool, steps: list[Step], data: st.DataObject, takes: bool
) -> None:
    """A fragment of text is sent in whole characters, so each is received as it was sent, in every chunking."""
    sender = connect(role, compressed=compressed)
    pieces = sent(sender, steps)
    wire = b"".join(pieces)
    receiver = Watched(connect(other(role), compressed=compressed), takes=takes)
    for chunk in chunks(wire, data.draw(cuts(len(wire), borders(pieces)))):
        receiver.receive(chunk)
    assert receiver.frames == [frame for frame, _ in steps]
    assert not receiver.has_verdict
    if steps and isinstance(steps[-1][0], Close):
        sender.receive(receiver.connection.data_to_send())
        assert sender.state is receiver.connection.state is State.CLOSE_EXCHANGED
        assert take(sender) == [Close(steps[-1][0].code)]
    else:
        assert receiver.connection.data_to_send() == b""


# Failing


@many
@given(roles, st.booleans(), st.data(), st.one_of(st.none(), st.integers(1, 300)))
def test_any_bytes_are_frames_or_a_failure_and_never_another_exception(
    role: ConnectionType, compressed: bool, data: st.DataObject, limit: int | None
) -> None:
    """After a failure nothing more is read. 1002, 1007 and 1009 are the codes for faults of the peer."""
    wire = data.draw(st.one_of(st.binary(max_size=60), st.lists(strange_frames(role), max_size=6).map(b"".join)))
    connection = connect(role, limit, compressed=compressed)
    frames = list[Frame | Close]()
    for chunk in chunks(wire, data.draw(cuts(len(wire)))):
        connection.receive(chunk)
        frames += take(connection)
    assert sum(len(frame.payload) for frame in frames if isinstance(frame, Text | Binary)) <= (limit or 10**6) * len(
        wire
    )
    info = connection.close_info
    if connection.state is State.OPEN:
        assert info is None
        assert connection.failure is None
        assert connection.data_to_send() == b""
        return
    assert info is not None
    assert connection.data_to_send()
    if connection.state is State.FAILED:
        assert info.sent is not None
        assert info.sent.code in (1002, 1007, 1009)
        assert (info.cause is CloseCause.LIMIT) == (info.sent.code == 1009)
        assert limit is not None or info.cause is CloseCause.PROTOCOL_ERROR
        assert type(connection.error()) is (MessageTooBig if info.sent.code == 1009 else ProtocolError)
    else:
        assert connection.state is State.CLOSE_EXCHANGED
        assert isinstance(frames[-1], Close)
    before = connection.state
    connection.receive(wire)
    assert take(connection) == []
    assert connection.state is before
    assert connection.close_info == info
    assert connection.data_to_send() == b""


# Limits


def until_too_big(steps: Sequence[Step], limit: int) -> list[Frame | Close] | None:
    """Return the frames before the first message over the limit; None if no message exceeds it."""
    frames, size = list[Frame | Close](), 0
    for frame, is_continuation in steps:
        if isinstance(frame, Text | Binary):
            payload = frame.payload.encode() if isinstance(frame, Text) else frame.payload
            size = len(payload) + (size if is_continuation else 0)
            if size > limit:
                return frames
        frames.append(frame)
    return None


@many
@given(roles, st.booleans(), conversations(), st.data(), st.one_of(st.integers(1, 150), st.integers(1, 70_001)))
def test_the_connection_fails_at_the_first_message_over_the_limit(
    role: ConnectionType, compressed: bool, steps: list[Step], data: st.DataObject, limit: int
) -> None:
    pieces = sent(connect(other(role), compressed=compressed), steps)
    wire = b"".join(pieces)
    receiver = Watched(connect(role, limit, compressed=compressed), takes=True)
    for chunk in chunks(wire, data.draw(cuts(len(wire), borders(pieces)))):
        receiver.receive(chunk)
    expected = until_too_big(steps, limit)
    if expected is None:
        assert receiver.verdict is None
        assert receiver.frames == [frame for frame, _ in steps]
    else:
        assert receiver.verdict == 1009
        assert receiver.frames == expected


# Holding back


@many
@given(roles, st.booleans(), conversations(may_close=True), st.data(), st.integers(1, 300))
def test_no_frame_is_lost_however_small_the_queue_is(
    role: ConnectionType, compressed: bool, steps: list[Step], data: st.DataObject, capacity: int
) -> None:
    """Any number of frames is taken after each chunk, and the rest at the end, in order."""
    pieces = sent(connect(other(role), compressed=compressed), steps)
    wire = b"".join(pieces)
    connection = connect(role, compressed=compressed)
    connection.queue.limit(None, capacity)
    frames = list[Frame | Close]()
    for chunk in chunks(wire, data.draw(cuts(len(wire), borders(pieces)))):
        connection.receive(chunk)
        for _ in range(data.draw(st.integers(0, 3))):
            frame = connection.next_frame()
            frames += [] if frame is None else [frame]
    for _ in range(2 * len(steps) + 1):
        frames += take(connection)
        if connection.holds_bytes:
            connection.receive(b"")
    assert not connection.holds_bytes
    assert frames == [frame for frame, _ in steps]
