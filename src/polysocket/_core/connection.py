"""A WebSocket connection after its opening handshake, sans-IO: bytes to frames, and frames to bytes.

It joins four states that don't know each other: the decoder, the queue of received frames, the encoder, and how the
connection ends. Not thread-safe: the session guards it.
"""

from __future__ import annotations

from dataclasses import replace

from wsproto import ConnectionType

from polysocket._core import close_codes
from polysocket._core.batch import Batch
from polysocket._core.decoder import Decoder
from polysocket._core.deflate import PerMessageDeflate
from polysocket._core.encoder import Encoder
from polysocket._core.failure import Failure
from polysocket._core.fast_path import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, UNLIMITED
from polysocket._core.frame_queue import FrameQueue
from polysocket._core.states import Event, State, next_state
from polysocket._core.validation import (
    MAX_CONTROL_PAYLOAD,
    check_close,
    close_payload,
    control_payload,
    invalid_text,
    not_a_frame,
    payload_bytes,
)
from polysocket.close_info import CloseCause, CloseInfo, Side
from polysocket.errors import BufferFull, ConnectionLost, MessageTooBig, ProtocolError, WebSocketClosed
from polysocket.frames import Binary, Close, Frame, Ping, Pong, Text

__all__ = ["Connection"]


class Connection:
    """One side of a connection.

    :meth:`receive` returns the frames that bytes complete, and puts them into ``queue``. :meth:`send` returns the bytes
    of a frame. :meth:`data_to_send` returns what the connection sends on its own: the answer to a Close (RFC 6455
    §5.5.1), and the Close of a failed connection (§7.1.7). Pings are answered by the session.
    """

    def __init__(
        self,
        role: ConnectionType,
        deflate: PerMessageDeflate | None = None,
        max_message_size: int | None = None,
    ) -> None:
        self.queue: FrameQueue = FrameQueue()
        self.state: State = State.OPEN
        self.has_ended: bool = False
        """True once nothing more can be received: a Close arrived, or the connection has failed or was lost."""
        self.close_info: CloseInfo | None = None
        """How the connection ends, as far as is known; replaced as a whole by each step of the closing."""
        self.failure: Failure | None = None
        """A failure that takes effect after the queued frames are taken: until then they can still be answered."""
        self.holds_bytes: bool = False
        """True if received bytes wait, for room in the queue or for the next turn."""
        self.has_met_control: bool = False
        """Whether a Ping or a Pong was among the frames that were received last."""
        self.has_room: bool = False
        """Whether there is a :meth:`room` for what the peer sends next."""
        self.bytes_received: int = 0
        """Bytes that were taken from the peer, those that wait undecoded too."""
        is_client = role is ConnectionType.CLIENT
        self._is_client = is_client
        self._limit = UNLIMITED if max_message_size is None else max_message_size
        self._decoder = Decoder(not is_client, None if deflate is None else deflate.inflater, max_message_size)
        self.encoder: Encoder = Encoder(is_client, None if deflate is None else deflate.deflater)
        self._outgoing = b""
        self._network_error: Exception | None = None

    # Receiving

    def receive(self, data: bytes | memoryview, with_data: bool = True) -> list[Frame | Close]:
        """Take bytes from the peer; return the frames that are new, which are in the queue, too.

        Bytes for which the queue has no room, or that hold too many frames for one turn, are held undecoded; then
        ``receive(b"")`` goes on with them.

        Args:
            data: The bytes, or a view of a buffer that is copied.
            with_data: Whether data frames are returned, too. False halves the time of small messages: the queue holds
                these as payloads.
        """
        decoder = self._decoder
        is_over = self.has_ended or self.failure is not None
        self.bytes_received += len(data)
        if isinstance(data, bytes):
            frames = [] if is_over else decoder.decode(data, self.queue, with_data)
        else:
            frames = [] if is_over else decoder.decode_view(data, self.queue, with_data)
        if is_over:
            return frames
        self.has_met_control = decoder.has_met_control
        self.has_room = decoder.has_room
        if frames and isinstance(close := frames[-1], Close):
            self._receive_close(close)
        elif decoder.failure is not None:
            self.failure = decoder.failure
            self._stop_receiving()
        else:
            self.holds_bytes = decoder.holds_bytes
        return frames

    def room(self) -> memoryview:
        """Return a buffer for what the peer sends next, if ``has_room``: to copy it takes longer than to read it.

        It is valid until the next call of a method. :meth:`receive` may take other bytes all the same.
        """
        return self._decoder.room()

    def note_filled(self, size: int, with_data: bool = True) -> list[Frame | Close]:
        """Take the bytes that were written to the start of :meth:`room`; return what :meth:`receive` returns."""
        self.bytes_received += size
        if self.has_ended or self.failure is not None:
            return []
        frames = self._decoder.note_filled(size, self.queue, with_data)
        self.has_met_control = False
        self.has_room = self._decoder.has_room
        if self._decoder.failure is not None:
            self.failure = self._decoder.failure
            self._stop_receiving()
        return frames

    def next_frame(self) -> Frame | Close | None:
        """Take the next frame; None if more bytes are needed, or if the connection has ended."""
        if self.queue.count:
            return self.queue.take()
        self.fail()
        return None

    def drop_incoming(self) -> None:
        """Keep no frame that arrives from now on, except the Close: this side is closing, and the queue is full."""
        self.queue.keep_only_close()
        self.fail()

    def _receive_close(self, close: Close) -> None:
        if self.close_info is None:
            self.close_info = CloseInfo(Side.REMOTE, CloseCause.CLOSE, received=close)
        else:
            self.close_info = replace(self.close_info, received=close)
        self._move(Event.RECEIVE_CLOSE)
        if self.state is State.CLOSE_RECEIVED:
            # RFC 6455 §5.5.1: the answer typically echoes the code.
            self._outgoing += self._send_close(Close(close.code))

    # Sending

    @property
    def open_message(self) -> bool:
        """True between the first and the last fragment of a message that this side sends."""
        return self.encoder.open_opcode != 0

    def send(
        self, frame: object, is_continuation: object = False, compress: object = True, at_once: int = UNLIMITED
    ) -> bytes:
        """Return the bytes of a frame, or of each message of a batch.

        A data frame with ``is_continuation`` continues the message that an earlier one started with ``final=False``
        (RFC 6455 §5.4). The first frame of a message decides with ``compress`` for all of it (RFC 7692 §6). The
        arguments may be of any type, since compiled code raises TypeError for one that is not of its annotation.

        If a message in one frame has more than ``at_once`` bytes, only as many of it are returned. Then the encoder
        ``has_more``, and its ``more()`` returns the next ones, before anything else is sent.

        Raises:
            InvalidFrame: The frame may not be sent; nothing has changed.
            WebSocketClosed: A Close was sent or received.
        """
        if self.state is not State.OPEN:
            raise self.error()
        encoder = self.encoder
        if isinstance(frame, Text):
            opcode = TEXT
            try:
                payload = str.encode(frame._payload)
            except (TypeError, UnicodeEncodeError) as error:
                raise invalid_text(frame._payload) from error
        elif isinstance(frame, Binary):
            opcode = BINARY
            payload = frame._payload if type(frame._payload) is bytes else payload_bytes(frame)
        elif isinstance(frame, Ping | Pong):
            return encoder.encode(PING if isinstance(frame, Ping) else PONG, control_payload(frame))
        elif isinstance(frame, Close):
            check_close(frame)
            return self._send_close(frame)
        elif isinstance(frame, Batch):
            return b"".join([self.send(message, False, compress) for message in frame.messages])
        else:
            raise not_a_frame(frame)
        if is_continuation or encoder.open_opcode:
            encoder.check_order(opcode, bool(is_continuation))
        opcode = CONTINUATION if is_continuation else opcode
        return encoder.encode(opcode, payload, bool(frame._final), bool(compress), at_once)

    def data_to_send(self) -> bytes:
        """Return the bytes that the connection sends on its own, each once."""
        data, self._outgoing = self._outgoing, b""
        return data

    def _send_close(self, close: Close) -> bytes:
        if self.close_info is None:
            self.close_info = CloseInfo(Side.LOCAL, CloseCause.CLOSE, sent=close)
        else:
            self.close_info = replace(self.close_info, sent=close)
        self._move(Event.SEND_CLOSE)
        return self.encoder.encode(CLOSE, close_payload(close))

    # Ending

    def fail(self) -> None:
        """*Fail the WebSocket connection* (RFC 6455 §7.1.7) if a failure is pending; send a Close if none was sent."""
        if self.failure is None:
            return
        failure, self.failure = self.failure, None
        already_sent = None if self.close_info is None else self.close_info.sent
        reason = failure.detail.encode()[: MAX_CONTROL_PAYLOAD - 2].decode(errors="ignore")
        close = already_sent or Close(failure.code, reason)
        self._end(Side.LOCAL, failure.cause, failure.detail, sent=close)
        self._move(Event.FAIL)
        if already_sent is None:
            self._outgoing += self.encoder.encode(CLOSE, close_payload(close))

    def overflow(self, frames: int | None, size: int | None = None) -> None:
        """Fail the connection since its queue is full; keep at most that many frames, and bytes, of it."""
        self.queue.cut(frames, size)
        detail = f"{self.queue.count} received frames wait, and there is no room for more"
        self.failure = Failure(close_codes.BUFFER_OVERFLOWED, CloseCause.BUFFER_FULL, detail)
        self.fail()

    def receive_eof(self, error: Exception | None = None) -> None:
        """Note that the TCP connection has ended, on its own or by a network ``error``."""
        if self._drop_connection(
            Side.REMOTE, CloseCause.NETWORK, "the connection ended without a Close" if error is None else str(error)
        ):
            self._network_error = error

    def abort(self, cause: CloseCause, detail: str) -> None:
        """Note that this side drops the TCP connection without waiting for the peer."""
        self._drop_connection(Side.LOCAL, cause, detail)

    def _drop_connection(self, side: Side, cause: CloseCause, detail: str) -> bool:
        """Move to CLOSED; return True if this is what ends the WebSocket connection."""
        self.fail()
        ends = not self.has_ended
        if ends:
            self._end(side, cause, detail)
        if self.state is not State.CLOSED:
            self._move(Event.END)
        return ends

    def _end(self, side: Side, cause: CloseCause, detail: str, *, sent: Close | None = None) -> None:
        if self.close_info is None:
            self.close_info = CloseInfo(side, cause, sent=sent, detail=detail)
        else:
            self.close_info = replace(self.close_info, cause=cause, detail=detail, sent=sent or self.close_info.sent)

    def _move(self, event: Event) -> None:
        self.state = next_state(self.state, event)
        self.encoder.forget()  # Each event ends the sending of messages.
        if self.state is not State.CLOSE_SENT and not self.has_ended:
            self.has_ended = True
            self._stop_receiving()

    def _stop_receiving(self) -> None:
        """Hold no bytes, and bound the queue no longer: no more frames will come."""
        self.holds_bytes = self.has_room = False
        self._decoder.forget()
        self.queue.release()

    @property
    def is_over(self) -> bool:
        """True if this side need not wait any more: the connection ended, or a server may end it (RFC 6455 §7.1.1)."""
        return self.state is State.CLOSED or (self.state is State.CLOSE_EXCHANGED and not self._is_client)

    def error(self) -> WebSocketClosed:
        """Return the error for a caller that uses the connection after its end."""
        info = self.close_info
        assert info is not None, "only an ended connection has an error"
        match info.cause:
            case CloseCause.CLOSE:
                return WebSocketClosed(info)
            case CloseCause.PROTOCOL_ERROR:
                return ProtocolError(info)
            case CloseCause.LIMIT:
                return MessageTooBig(info, self._limit)
            case CloseCause.BUFFER_FULL:
                return BufferFull(info)
            case _:
                lost = ConnectionLost(info)
                lost.__cause__ = self._network_error
                return lost
