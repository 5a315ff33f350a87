"""A WebSocket connection after its opening handshake, sans-IO: bytes in, frames out; frames in, bytes out.

wsproto judges every frame but those that the fast lane takes, and gets its bytes frame by frame, so that the lane can
go on behind each. What wsproto lacks is mended here: limits are checked before it buffers, a failed connection reads
nothing more, and the answer to a Close is given. Not thread-safe: the session guards it.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice

from wsproto import ConnectionType, events
from wsproto.connection import Connection as WSProtoConnection
from wsproto.connection import ConnectionState
from wsproto.frame_protocol import CloseReason, Opcode

from polysocket._core import fast_path as lane
from polysocket._core.deflate import PerMessageDeflate
from polysocket._core.states import Event, State, after
from polysocket._core.validation import (
    MAX_CONTROL_PAYLOAD,
    checked_close,
    control_payload,
    encoded_text,
    no_frame,
    payload_bytes,
)
from polysocket.close_info import CloseCause, CloseInfo, Side
from polysocket.errors import BufferFull, ConnectionLost, InvalidFrame, MessageTooBig, ProtocolError, WebSocketClosed
from polysocket.frames import Binary, Close, CloseCode, DataFrame, Frame, Ping, Pong, Text

__all__ = ["Connection"]


CLOSE = 0x8  # RFC 6455 §5.2


BAD_GATEWAY = CloseCode.BAD_GATEWAY.to_bytes(2, "big")


MAX_FRAGMENTS = 131072  # in a message: an empty fragment costs its sender two bytes, and this side an object


UNLIMITED = 2**63 - 1  # RFC 6455 §5.2: no payload is longer


FRAME_COST = 128  # bytes that a frame takes beside its payload, in ``frames``


QUEUE_CAPACITY = 1024 * 1024  # bytes in ``frames`` from which on received bytes wait undecoded


class Connection:
    """One side's connection: feed it with :meth:`receive`, take ``frames`` and :meth:`data_to_send`.

    ``frames`` has what was received, in order, as it was sent: a frame that came in pieces is one frame. Pings are
    answered by whoever takes them from there; a Close is answered here, at once (RFC 6455 §5.5.1).
    """

    def __init__(
        self,
        role: ConnectionType,
        deflate: PerMessageDeflate | None = None,
        max_message_size: int | None = None,
        max_fragments: int | None = MAX_FRAGMENTS,
    ) -> None:
        self.frames: deque[Frame | Close] = deque()
        self.on_received: Callable[[Frame | Close], None] | None = None  # told of each frame that comes into ``frames``
        self.on_sent: Callable[[Frame | Close], None] | None = None  # told of each frame, those sent by itself too
        self.state: State = State.OPEN
        self._masks = role is ConnectionType.CLIENT
        self._deflate = deflate
        self._judge = WSProtoConnection(role, extensions=[] if deflate is None else [deflate])
        self._max_message_size = max_message_size
        self._limit = UNLIMITED if max_message_size is None else max_message_size
        self._max_fragments = UNLIMITED if max_fragments is None or max_message_size is None else max_fragments
        # Bytes that wait: for the rest of a plain binary frame (then some are missing), or for room in ``frames``.
        self._chunks: list[bytes] = []
        self._taken = 0  # bytes of the first of them
        self._missing = 0
        self._discards = False
        self._queued = 0
        self._frame_cost = FRAME_COST
        self.limit_queue(None, QUEUE_CAPACITY)
        # The frame that wsproto is in: its header as far as it has come, then the bytes that are still to come.
        self._header = b""
        self._first = 0
        self._left: int | None = None
        self._close_payload = b""
        self._is_bad_gateway = False
        self._texts: list[str] = []
        self._binaries: list[bytes] = []
        # The message that is being received, where it has fragments.
        self._message_size = 0
        self._message_fragments = 0
        self._in_message = False
        self._message_deflated = False
        # The message that is being sent, where it has fragments.
        self._open_message: type[Text | Binary] | None = None
        self._outgoing: list[bytes] = []
        # How it ended, or will.
        self._verdict: tuple[Close, CloseCause, str] | None = None
        self._initiator: Side | None = None
        self._cause = CloseCause.CLOSE
        self._detail = ""
        self._received: Close | None = None
        self._sent: Close | None = None
        self._network_error: Exception | None = None

    # Receiving

    def next_frame(self) -> Frame | Close | None:
        """The next frame received; None where more bytes are needed, or where the connection has ended."""
        if not self.frames:
            self.fail()
            return None
        frame = self.frames.popleft()
        if not isinstance(frame, Close):
            self._queued -= len(frame.payload) + self._frame_cost
        return frame

    def give_back(self, frames: Sequence[Frame]) -> None:
        """Make frames that were taken the next ones again."""
        self.frames.extendleft(reversed(frames))
        self._queued += sum(len(frame.payload) + self._frame_cost for frame in frames)

    def limit_queue(self, frames: int | None, size: int | None, frame_cost: int = FRAME_COST) -> None:
        """Bound ``frames``, by their number and by their bytes, of payload and ``frame_cost`` for each of them.

        What exceeds either waits undecoded.
        """
        self._queue_frames = UNLIMITED if frames is None else frames
        self._queue_size = UNLIMITED if size is None else size
        self._queued += (frame_cost - self._frame_cost) * len(self.frames)
        self._frame_cost = frame_cost

    def frames_behind(self, known: int) -> list[Frame | Close]:
        """What is in ``frames`` behind so many of them; takes time by its own number only."""
        newest = list(islice(reversed(self.frames), len(self.frames) - known))
        newest.reverse()
        return newest

    def drop_control_frames(self, known: int) -> None:
        """Drop the Pings and Pongs behind so many of ``frames``: somebody has seen to them."""
        newest = self.frames_behind(known)
        for frame in newest:
            self.frames.pop()
            if isinstance(frame, Ping | Pong):
                self._queued -= len(frame.payload) + self._frame_cost
        self.frames.extend(frame for frame in newest if not isinstance(frame, Ping | Pong))

    def overflow(self, frames: int | None, size: int | None = None) -> None:
        """Fail, since nobody takes what is in ``frames``: of them so many stay, and so many bytes."""
        while self.frames and (
            (frames is not None and len(self.frames) > frames) or (size is not None and self._queued > size)
        ):
            frame = self.frames.pop()
            self._queued -= 0 if isinstance(frame, Close) else len(frame.payload) + self._frame_cost
        detail = f"{len(self.frames)} received frames wait, and there is no room for more"
        self._fail(CloseCode.POLICY_VIOLATION, CloseCause.BUFFER_FULL, detail)
        self.fail()

    @property
    def is_full(self) -> bool:
        """Whether so much is in ``frames`` that it should be taken before more is read."""
        is_full = len(self.frames) >= self._queue_frames or self._queued >= self._queue_size
        return is_full and bool(self.frames) and self._is_receiving and not self._discards

    @property
    def holds_bytes(self) -> bool:
        """Whether received bytes wait for room in ``frames``: ``receive(b"")`` then goes on with them."""
        return bool(self._chunks) and self._missing <= 0 and self._is_receiving

    def receive(self, data: bytes) -> None:
        """Take bytes from the other side; what they mean is in ``frames``, ``state`` and :meth:`data_to_send`."""
        if not self._is_receiving:
            return
        position = 0
        if self._chunks:
            self._chunks.append(data)
            self._missing -= len(data)
            if self._missing > 0:
                return
            data = b"".join(self._chunks) if data or len(self._chunks) > 2 else self._chunks[0]
            self._chunks.clear()
            position, self._taken = self._taken, 0
        end = len(data)
        while position < end and self._is_receiving:
            if self.is_full:
                # A few bytes may inflate to many: what is inflated is bounded too.
                self._chunks.append(data)
                self._taken = position
                break
            if self._header or self._left or self._in_message:
                position = self._receive_by_wsproto(data, position)
                continue
            taken = position
            position = self._receive_by_lane(data, position)
            if position > taken or position == end:
                continue
            size = lane.binary_frame_size(data, position, not self._masks, self._limit)
            if size > end - position:
                self._chunks.append(data[position:])
                self._missing = size - (end - position)
                break
            position = self._receive_by_wsproto(data, position)

    def discard(self) -> None:
        """From now on keep no frame but the Close: this side is closing, and nobody will take them."""
        self._discards = True
        self.fail()

    @property
    def _is_receiving(self) -> bool:
        return self.state in (State.OPEN, State.CLOSE_SENT) and self._verdict is None

    def receive_end(self, error: Exception | None = None) -> None:
        """The TCP connection has ended, by itself or by a network ``error``."""
        detail = "the connection ended without a Close" if error is None else str(error)
        if self._end(Side.REMOTE, CloseCause.NETWORK, detail):
            self._network_error = error

    def abandon(self, cause: CloseCause, detail: str) -> None:
        """This side ends the TCP connection as it is, without waiting any longer."""
        self._end(Side.LOCAL, cause, detail)

    def _end(self, side: Side, cause: CloseCause, detail: str) -> bool:
        """End the connection; tells whether that is what the websocket has ended by."""
        self.fail()
        ends = self.state in (State.OPEN, State.CLOSE_SENT)
        if ends:
            self._end_by(side, cause, detail)
        if self.state is not State.CLOSED:
            self.state = after(self.state, Event.END)
        return ends

    def _receive_by_lane(self, data: bytes, position: int) -> int:
        """Take the plain frames that are there, as far as there is room; give the position behind them."""
        frames: list[Text | Binary] = []
        room = UNLIMITED if self._discards else self._queue_frames - len(self.frames)
        position = lane.decode(data, position, not self._masks, self._limit, frames, most=room)
        if not self._discards:
            self.frames.extend(frames)
            self._queued += sum([len(frame.payload) for frame in frames]) + self._frame_cost * len(frames)
            if self.on_received is not None:
                for frame in frames:
                    self.on_received(frame)
        return position

    def _receive_by_wsproto(self, data: bytes, position: int) -> int:
        """Give wsproto the bytes of one frame, as far as they are there; give the position behind them."""
        if self._left is None:
            known = len(self._header)
            header = self._header + data[position : position + 14 - known]
            size = lane.frame_size(header)
            if size is None:
                self._header = header
                self._feed(data[position:])
                return len(data)
            header_size, self._left = size
            self._header = header[:header_size]
            self._first = header[0]
            excess = self._excess(self._first, self._left)
            begin, position = position, position + header_size - known
            if excess is None or self._left:
                # The header by itself: whether it is valid comes before whether its frame is too big.
                self._feed(data[begin:position])
            if excess is not None and self._verdict is None:
                self._fail_limit(excess)
            if self._verdict is not None:
                return len(data)
        stop = min(position + self._left, len(data))
        self._left -= stop - position
        header = self._header
        if not self._left:
            self._left = None
            self._header = b""
        if header[0] & 0x0F == CLOSE:
            self._feed_close(header, data[position:stop])
        elif stop > position:
            self._feed(data[position:stop])
        return stop

    def _feed_close(self, header: bytes, payload: bytes) -> None:
        """Give wsproto the payload of a Close once it is whole.

        1014 is in the registry that RFC 6455 §11.7 founds, but wsproto 1.3.2 refuses it: it is shown a 1013 instead.
        """
        self._close_payload += payload
        if self._left is not None or not self._close_payload:
            return
        payload = self._close_payload
        key = header[-4:] if header[1] & lane.MASKED else bytes(4)
        self._close_payload = lane.mask(payload, key)
        self._is_bad_gateway = self._close_payload[:2] == BAD_GATEWAY
        if self._is_bad_gateway:
            payload = payload[:1] + bytes([payload[1] ^ 1014 ^ 1013]) + payload[2:]
        self._feed(payload)

    def _excess(self, first: int, payload_size: int) -> str | None:
        """Count a data frame before a byte of it is buffered; say what is too much, if anything."""
        opcode = first & 0x0F
        if opcode > 2:
            return None
        if opcode:
            self._message_deflated = self._deflate is not None and bool(first & 0x40)
        self._message_fragments += 1
        if self._message_fragments > self._max_fragments:
            return f"a message of more than {self._max_fragments} fragments"
        if not self._message_deflated:  # The extension counts what it inflates.
            self._message_size += payload_size
        if self._message_size > self._limit:
            return f"a message of at least {self._message_size} bytes, over the limit of {self._limit}"
        return None

    def _feed(self, data: bytes) -> None:
        self._judge.receive_data(data)
        for event in self._judge.events():
            match event:
                case events.TextMessage() | events.BytesMessage():
                    self._receive_piece(event)
                case events.Ping(payload):
                    self._queue(Ping(bytes(payload)))
                case events.Pong(payload):
                    self._queue(Pong(bytes(payload)))
                case events.CloseConnection(code, reason):
                    if self._judge.state in (ConnectionState.OPEN, ConnectionState.LOCAL_CLOSING):
                        # wsproto tells of its verdict by the same event as of a Close, but stays as it was.
                        self._fail_as_judged(CloseReason(code), reason or "")
                    else:
                        code = CloseCode.BAD_GATEWAY if self._is_bad_gateway else code
                        self._receive_close(Close(int(code), reason or ""))
                case _:
                    raise RuntimeError(f"wsproto gave {event!r}, which polysocket does not know")

    def _receive_piece(self, event: events.TextMessage | events.BytesMessage) -> None:
        self._in_message = not event.message_finished
        if isinstance(event, events.TextMessage):
            if event.data:
                self._texts.append(event.data)
        elif event.data:
            self._binaries.append(bytes(event.data))
        if not event.frame_finished:
            return
        if isinstance(event, events.TextMessage):
            self._queue(Text("".join(self._texts), event.message_finished))
            self._texts.clear()
        else:
            self._queue(Binary(b"".join(self._binaries), event.message_finished))
            self._binaries.clear()
        if event.message_finished:
            self._message_size = self._message_fragments = 0

    def _queue(self, frame: Frame) -> None:
        if not self._discards:
            self.frames.append(frame)
            self._queued += len(frame.payload) + self._frame_cost
            if self.on_received is not None:
                self.on_received(frame)

    def _receive_close(self, close: Close) -> None:
        self._received = close
        if self._initiator is None:
            self._initiator = Side.REMOTE
        self.state = after(self.state, Event.RECEIVE_CLOSE)
        self.frames.append(close)
        if self.on_received is not None:
            self.on_received(close)
        if self.state is State.CLOSE_RECEIVED:
            # RFC 6455 §5.5.1: the answer typically echoes the code.
            self._send_close(Close(close.code))

    # Failing

    def _fail_as_judged(self, code: CloseReason, reason: str) -> None:
        if self._deflate is not None and self._deflate.failure is not None:
            reason = self._deflate.failure
        elif code is CloseReason.INVALID_FRAME_PAYLOAD_DATA:
            what = "a Close with a reason" if self._close_payload else "text"
            reason = f"{what} that is no UTF-8: {reason.rpartition('codec ')[2]}"
        elif (reason.startswith("CLOSE with ") and len(self._close_payload) > 1) or reason.startswith("remote CLOSE"):
            reason = f"a Close with the code {int.from_bytes(self._close_payload[:2], 'big')}, which may not be sent"
        elif reason == "client received unexpected masked frame":
            reason = "a masked frame, but a server's frames may not be masked (RFC 6455 §5.1)"
        elif reason == "server received unexpected unmasked frame":
            reason = "a frame that is not masked, but a client's frames must be (RFC 6455 §5.1)"
        elif reason == "Reserved bit set unexpectedly":
            bits = " and ".join(f"RSV{bit + 1}" for bit in range(3) if self._first & 0x40 >> bit)
            reason = f"a reserved bit is set ({bits}), for which no extension was agreed"
        elif reason.startswith("expected CONTINUATION"):
            reason = f"a {Opcode(self._first & 0x0F).name} frame where a continuation was due"
        if code is CloseReason.MESSAGE_TOO_BIG:
            self._fail_limit(reason)
        else:
            self._fail(code, CloseCause.PROTOCOL_ERROR, reason)

    def _fail_limit(self, detail: str) -> None:
        self._fail(CloseCode.MESSAGE_TOO_BIG, CloseCause.LIMIT, detail)

    def _fail(self, code: int, cause: CloseCause, detail: str) -> None:
        reason = detail.encode()[: MAX_CONTROL_PAYLOAD - 2].decode(errors="ignore")
        self._verdict = Close(CloseCode(code), reason), cause, detail

    @property
    def is_failing(self) -> bool:
        """Whether what came behind ``frames`` was such that the connection fails once these are taken.

        Until then this side may still answer what was good.
        """
        return self._verdict is not None

    def fail(self) -> None:
        """*Fail the WebSocket connection* (RFC 6455 §7.1.7) where that is due: send a Close where none was."""
        if self._verdict is None:
            return
        close, cause, detail = self._verdict
        self._verdict = None
        self._end_by(Side.LOCAL, cause, detail)
        if self._sent is None:
            self._write_close(close)
        self.state = after(self.state, Event.FAIL)

    def _end_by(self, side: Side, cause: CloseCause, detail: str) -> None:
        if self._initiator is None:
            self._initiator = side
        self._cause = cause
        self._detail = detail

    @property
    def has_ended(self) -> bool:
        """Whether nothing more can be received: a Close came, or the connection has failed or was lost."""
        return self.state not in (State.OPEN, State.CLOSE_SENT)

    @property
    def is_over(self) -> bool:
        """Whether nothing is to be awaited any more: the connection ended, or a server may end it (RFC 6455 §7.1.1)."""
        return self.state is State.CLOSED or (self.state is State.CLOSE_EXCHANGED and not self._masks)

    @property
    def close_info(self) -> CloseInfo | None:
        """What is known of the closing; None while there is none."""
        if self._initiator is None:
            return None
        return CloseInfo(self._initiator, self._cause, self._received, self._sent, self._detail)

    def error(self) -> WebSocketClosed:
        """The error for whoever goes on using an ended connection."""
        info = self.close_info
        assert info is not None, "only an ended connection has an error"
        if info.cause is CloseCause.CLOSE:
            return WebSocketClosed(info)
        if info.cause is CloseCause.PROTOCOL_ERROR:
            return ProtocolError(info)
        if info.cause is CloseCause.LIMIT:
            return MessageTooBig(info, self._limit)
        if info.cause is CloseCause.BUFFER_FULL:
            return BufferFull(info)
        lost = ConnectionLost(info)
        lost.__cause__ = self._network_error
        return lost

    # Sending

    @property
    def open_message(self) -> bool:
        """Whether a fragmented message was begun by :meth:`send` and is not ended."""
        return self._open_message is not None

    def send(self, frame: Frame | Close, is_continuation: bool = False) -> None:
        """Put a frame's bytes into what :meth:`data_to_send` gives.

        A data frame with ``is_continuation`` goes on with the message that an earlier one began by ``final=False``
        (RFC 6455 §5.4). Raises :class:`InvalidFrame` for what may not be sent, :class:`WebSocketClosed` once a Close
        was sent or received.
        """
        if self.state is not State.OPEN:
            raise self.error()
        if isinstance(frame, Text):
            self._send_data(frame, lane.TEXT, encoded_text(frame), is_continuation)
        elif isinstance(frame, Binary):
            self._send_data(frame, lane.BINARY, payload_bytes(frame), is_continuation)
        elif isinstance(frame, Ping):
            self._outgoing.append(self._judge.send(events.Ping(control_payload(frame))))
        elif isinstance(frame, Pong):
            self._outgoing.append(self._judge.send(events.Pong(control_payload(frame))))
        elif isinstance(frame, Close):
            self._send_close(checked_close(frame))
        else:
            raise no_frame(frame)
        if self.on_sent is not None and not isinstance(frame, Close):
            self.on_sent(frame)

    def data_to_send(self) -> bytes:
        """The bytes that are to be sent now, each once."""
        if not self._outgoing:
            return b""
        data = self._outgoing[0] if len(self._outgoing) == 1 else b"".join(self._outgoing)
        self._outgoing.clear()
        return data

    def _send_data(self, frame: DataFrame, opcode: int, payload: bytes, is_continuation: bool) -> None:
        if is_continuation:
            if self._open_message is None:
                raise InvalidFrame("there is no message to continue: none was begun with final=False")
            if self._open_message is not type(frame):
                raise InvalidFrame(
                    f"a message of {self._open_message.__name__} frames can't be continued by a {type(frame).__name__}"
                )
        elif self._open_message is not None:
            raise InvalidFrame("a fragmented message is not ended yet: continue it with is_continuation=True")
        if frame.final and not is_continuation and self._deflate is None:
            self._outgoing.append(lane.encode(opcode, payload, os.urandom(4) if self._masks else b""))
            return
        message: events.Message[str] | events.Message[bytes | bytearray]
        if isinstance(frame, Text):
            message = events.TextMessage(frame.payload, message_finished=frame.final)
        else:
            message = events.BytesMessage(payload, message_finished=frame.final)
        self._outgoing.append(self._judge.send(message))
        self._open_message = None if frame.final else type(frame)

    def _send_close(self, close: Close) -> None:
        if self._initiator is None:
            self._initiator = Side.LOCAL
        self._write_close(close)
        self.state = after(self.state, Event.SEND_CLOSE)

    def _write_close(self, close: Close) -> None:
        self._sent = close
        # wsproto leaves the code out only for its own constant.
        code = CloseReason.NO_STATUS_RCVD if close.code == CloseCode.NO_STATUS_RECEIVED else close.code
        self._outgoing.append(self._judge.send(events.CloseConnection(code, close.reason)))
        if self.on_sent is not None:
            self.on_sent(close)
