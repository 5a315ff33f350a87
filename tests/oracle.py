"""wsproto as the oracle of a connection: the same frames and the same verdict, at the same byte.

The only allowed difference is a message over the limit. With compression, both use polysocket's extension.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from wsproto import ConnectionType
from wsproto.connection import Connection as WSProtoConnection
from wsproto.connection import ConnectionState
from wsproto.events import BytesMessage, CloseConnection, Event, TextMessage
from wsproto.events import Ping as PingEvent
from wsproto.events import Pong as PongEvent

from polysocket._core.judge import verdicts
from polysocket._core.states import State
from polysocket.close_info import CloseCause, Side
from polysocket.frames import Binary, Close, CloseCode, Frame, Ping, Pong, Text
from tests.connections import Connection, connect, deflate, take
from tests.wsproto_extension import WsprotoExtension

LONGEST_HEADER = 14  # bytes


def chunks(wire: bytes, cuts: Sequence[int]) -> Iterator[bytes]:
    for begin, end in zip([0, *cuts], [*cuts, len(wire)], strict=True):
        yield wire[begin:end]


class Oracle:
    """wsproto alone: its ``frames``, and its ``verdict``, after which it reads no more bytes."""

    def __init__(self, role: ConnectionType, compressed: bool) -> None:
        self.frames = list[Frame | Close]()
        self.verdict: int | None = None
        self.refuses_code = False
        """True if the verdict is about a code that wsproto does not know, of which 1014 is a legal one."""
        self._connection = WSProtoConnection(role, [WsprotoExtension(deflate(role))] if compressed else [])
        self._pieces = list[str | bytes]()

    def receive(self, data: bytes) -> None:
        if self.verdict is not None or self._connection.state is not ConnectionState.OPEN:
            return
        self._connection.receive_data(data)
        for event in self._connection.events():
            self._take(event)

    def _take(self, event: Event) -> None:
        match event:
            case TextMessage(payload, frame_finished, message_finished):
                self._pieces.append(payload)
                if frame_finished:
                    whole = "".join([piece for piece in self._pieces if isinstance(piece, str)])
                    self.frames.append(Text(whole, message_finished))
                    self._pieces.clear()
            case BytesMessage(payload, frame_finished, message_finished):
                self._pieces.append(bytes(payload))
                if frame_finished:
                    self.frames.append(
                        Binary(
                            b"".join([piece for piece in self._pieces if isinstance(piece, bytes)]), message_finished
                        )
                    )
                    self._pieces.clear()
            case PingEvent(payload):
                self.frames.append(Ping(bytes(payload)))
            case PongEvent(payload):
                self.frames.append(Pong(bytes(payload)))
            case CloseConnection(code, reason):
                if self._connection.state is ConnectionState.OPEN:
                    self.verdict = int(code)
                    self.refuses_code = reason == "CLOSE with unknown reserved code"
                else:
                    self.frames.append(Close(int(code), reason or ""))
            case _:
                raise AssertionError(event)


class Watched:
    """A connection whose frames are taken as they arrive, or left in the queue."""

    def __init__(self, connection: Connection, *, takes: bool) -> None:
        self.connection = connection
        self.frames = list[Frame | Close]()
        self._takes = takes
        connection.queue.limit(None, None)  # otherwise thousands of empty frames would wait for room

    def receive(self, data: bytes) -> None:
        self.connection.receive(data)
        if self._takes:
            self.frames += take(self.connection)
        else:
            self.frames = list(self.connection.queue)

    @property
    def has_verdict(self) -> bool:
        return self.connection.failure is not None or self.connection.state is State.FAILED

    @property
    def verdict(self) -> int | None:
        self.connection.fail()
        info = self.connection.close_info
        if info is None or info.cause is CloseCause.CLOSE:
            return None
        assert info.initiator is Side.LOCAL
        assert info.received is None
        assert info.sent is not None
        return info.sent.code


def compare(
    role: ConnectionType, compressed: bool, wire: bytes, cuts: Sequence[int], takes: bool, *, reads_views: bool = False
) -> Watched:
    """Compare the connection with the oracle after each chunk, until the oracle refuses a code that it doesn't know.

    wsproto judges the order of frames only with a byte of their payload, the connection with their header.
    """
    judged_before = verdicts["valid data frame"]
    oracle, watched = Oracle(role, compressed), Watched(connect(role, compressed=compressed), takes=takes)
    watched.connection.reads_views = reads_views
    for chunk in chunks(wire, cuts):
        oracle.receive(chunk)
        watched.receive(chunk)
        if oracle.refuses_code:
            return watched
        assert watched.frames == oracle.frames
        if watched.has_verdict:
            oracle.receive(bytes(LONGEST_HEADER))
        assert watched.has_verdict == (oracle.verdict is not None)
    assert verdicts["valid data frame"] == judged_before, "a valid data frame was passed to wsproto"
    # Before it looks at the order, wsproto has compressed bytes inflated, which may be corrupt or too many.
    is_found_in_payload = compressed and oracle.verdict in (CloseCode.INVALID_PAYLOAD, CloseCode.MESSAGE_TOO_BIG)
    assert watched.verdict == oracle.verdict or (is_found_in_payload and watched.verdict == CloseCode.PROTOCOL_ERROR)
    return watched
