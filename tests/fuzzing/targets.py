"""Fuzzing targets for the sans-IO core: functions of bytes that raise if a promise is broken.

The promises: typed errors only, the same result in any chunking, memory within bounds, and for the connection the
same frames and verdict as wsproto. The first byte of an input chooses options, the second how the rest is cut into
chunks, so that a fuzzer can mutate both.
"""

from __future__ import annotations

import gc
import random
import sys
from collections.abc import Callable, Sequence
from types import FunctionType, ModuleType
from typing import Final, NamedTuple

from polysocket._core.client_handshake import ClientHandshake
from polysocket._core.deflate import DeflateParameters, PerMessageDeflate
from polysocket._core.http1 import MAX_BODY, MAX_HEADER
from polysocket._core.server_handshake import ServerHandshake
from polysocket._core.states import State
from polysocket.close_info import CloseCause
from polysocket.compression import Deflate
from polysocket.errors import InvalidUpgrade
from polysocket.frames import Close, CloseCode, Frame
from tests.connections import CLIENT, SERVER, Connection, take
from tests.handshakes import PLAIN, REQUEST, client_outcome, server_outcome
from tests.oracle import chunks, compare

__all__ = ["TARGETS"]

LIMITS: Final = (None, 5, 300, 20_000)  # bytes: max_message_size
LONGEST_ANSWER: Final = MAX_HEADER + 2 * MAX_BODY  # bytes after which a handshake has decided
OVERHEAD: Final = 256 * 1024  # bytes that a connection may hold besides twice what it was sent
TWO_FAULTS: Final = (1002, 1007, 1009)  # A frame may be out of order, corrupt and too large: the chunks decide.
WINDOWS: Final = (DeflateParameters(), DeflateParameters(True, True), DeflateParameters(False, False, 9, 9))


def client_handshake(data: bytes) -> None:
    """Read an answer to a client's opening handshake; ``{accept}`` stands for the value that is due."""
    options, way, reply = split(data)
    request = PLAIN if options & 1 else REQUEST
    result = client_outcome(reply, [], request)
    for cuts in (way, [1] * len(reply)):
        assert client_outcome(reply, cuts, request) == result, cuts
    if options & 0x70 == 0x70:
        handshake = ClientHandshake(request)
        expect_a_decision(handshake.receive, reply)


def server_handshake(data: bytes) -> None:
    """Read a client's opening handshake."""
    options, way, request = split(data)
    result = server_outcome(request)
    for cuts in (way, [1] * len(request)):
        assert server_outcome(request, cuts) == result, cuts
    if options & 0x70 == 0x70:
        expect_a_decision(ServerHandshake(Deflate(), None).receive, request)


def connection(data: bytes) -> None:
    """Read frames in either role, with and without compression."""
    options, way, wire = split(data)
    role = SERVER if options & 1 else CLIENT
    compressed = bool(options & 2)
    limit = LIMITS[options >> 2 & 3]
    parameters = WINDOWS[(options >> 4 & 3) % len(WINDOWS)]
    cuts = positions(way, len(wire))

    def connect() -> Connection:
        agreed = PerMessageDeflate(role, parameters, Deflate(), limit) if compressed else None
        return Connection(role, agreed, limit)

    whole = outcome(connect(), [wire])
    in_chunks = outcome(connect(), list(chunks(wire, cuts)))
    in_bytes = outcome(connect(), [wire[index : index + 1] for index in range(len(wire))])
    # zlib notices a distance beyond a small window only if the data before it came in an earlier chunk.
    if not compressed or parameters.server_max_window_bits is None:
        assert in_chunks == whole, cuts
        assert in_bytes == whole
    if limit is None and parameters == DeflateParameters():
        compare(role, compressed, wire, cuts, takes=bool(options & 0x40))
    elif options & 0x80:
        expect_little_memory(connect(), wire)


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    target.__name__: target for target in (client_handshake, server_handshake, connection)
}


def split(data: bytes) -> tuple[int, list[int], bytes]:
    """Return an input's options, the sizes of its chunks, and its bytes for the target."""
    head = data[:2].ljust(2, b"\0")
    chooser = random.Random(head[1])
    most = chooser.choice((2, 20, 300))
    return head[0], [chooser.randint(1, most) for _ in range(20)], data[2:]


def positions(sizes: Sequence[int], end: int) -> list[int]:
    """Return the positions inside the bytes at which chunks of these sizes end."""
    cuts, position = list[int](), 0
    for size in sizes:
        position += size
        if position < end:
            cuts.append(position)
    return cuts


class Outcome(NamedTuple):
    """The frames and the end of a connection; its detail may depend on the chunking, if there are two faults."""

    frames: list[Frame | Close]
    state: State
    cause: CloseCause | None
    answer: int | None


def outcome(connection: Connection, pieces: Sequence[bytes]) -> Outcome:
    """Receive the pieces, and take each frame as it comes."""
    frames = list[Frame | Close]()
    for piece in pieces:
        connection.receive(piece)
        frames += take(connection)
    assert not connection.holds_bytes
    connection.fail()
    info = connection.close_info
    assert bool(connection.data_to_send()) == (connection.state is not State.OPEN)
    if info is None:
        return Outcome(frames, connection.state, None, None)
    code = None if info.sent is None else info.sent.code
    if code in TWO_FAULTS:
        return Outcome(frames, connection.state, None, CloseCode.INVALID_PAYLOAD)
    return Outcome(frames, connection.state, info.cause, code)


def expect_a_decision(receive: Callable[[bytes], object], beginning: bytes) -> None:
    """Repeat the end of an input: an endless header or body must be refused."""
    tail = beginning[-64:] or b"x"
    pieces = [beginning or b"x", *[tail * 64] * (LONGEST_ANSWER // (64 * len(tail)) + 1)]
    try:
        decided = any(receive(piece) is not None for piece in pieces)
    except InvalidUpgrade:
        return
    assert decided, "an endless handshake is read forever"


def expect_little_memory(connection: Connection, beginning: bytes) -> None:
    """Repeat an input until it is long, and take nothing; look at what the connection holds."""
    received = 0
    for _ in range(min(4096, 2**18 // max(len(beginning), 1))):
        if connection.has_ended or connection.failure is not None or connection.queue.is_full:
            break
        connection.receive(beginning)
        received += len(beginning)
    inflated = connection.queue.size
    assert size_of(connection) <= 2 * max(received, inflated) + OVERHEAD


def size_of(root: object) -> int:
    """Return the bytes of the Python objects that can be reached from an object."""
    seen, size, left = set[int](), 0, [root]
    while left:
        each = left.pop()
        if id(each) in seen or isinstance(each, type | ModuleType | FunctionType):
            continue
        seen.add(id(each))
        size += sys.getsizeof(each)
        left += gc.get_referents(each)
    return size
