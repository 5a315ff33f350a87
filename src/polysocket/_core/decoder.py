"""Received bytes to frames: whole frames via the fast path, every other frame via wsproto.

A fragmented message begins on the fast path. wsproto goes on with it at the first frame that has not arrived whole, or
is compressed or invalid. It gets its bytes frame by frame, so that the fast path can take over again after each one.
What wsproto lacks is done here: limits are checked before a byte is buffered, and nothing is read after a failure or a
Close.
"""

from __future__ import annotations

import codecs
import weakref
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Final

from wsproto import ConnectionType
from wsproto.extensions import Extension
from wsproto.frame_protocol import CloseReason, FrameProtocol, Opcode, ParseFailed
from wsproto.frame_protocol import Frame as Piece

from polysocket._core import close_codes, fast_path
from polysocket._core.deflate import PerMessageDeflate, Refused
from polysocket._core.frame_queue import FRAME_COST, UNLIMITED, FrameQueue
from polysocket._core.pieces import Pieces, TextPieces
from polysocket._core.violations import close_violation, header_violation
from polysocket.close_info import CloseCause
from polysocket.frames import Binary, Close, CloseCode, Frame, Ping, Pong, Text

__all__ = ["BYTES_A_FRAGMENT", "FEWEST_FRAGMENTS", "Decoder", "Failure"]

# How much is decoded in one turn, so that an event loop is not held up for long. At most 50 ms is the aim.
MAX_STEPS: Final = 512  # a step is a frame on the fast path (about 2 µs), or a new zlib stream
STEPS_OF_WSPROTO: Final = 4  # about 10 µs for a frame
MAX_BYTES: Final = 1024 * 1024  # they take about 3 ms to inflate
SLICE: Final = 64 * 1024  # bytes that wsproto gets at once: it copies them five times

# A fragment costs its sender two bytes, and this side 10 µs. A large message may have one for 256 bytes.
FEWEST_FRAGMENTS: Final = 1024
BYTES_A_FRAGMENT: Final = 256
LONGEST_HEADER: Final = 14  # bytes: 2, an 8-byte length and a masking key (RFC 6455 §5.2)
BAD_GATEWAY: Final = CloseCode.BAD_GATEWAY.to_bytes(2, "big")

FAILURES: Final = {  # of wsproto and the extension: the close code to send, and the cause
    CloseReason.PROTOCOL_ERROR: (close_codes.PROTOCOL_VIOLATED, CloseCause.PROTOCOL_ERROR),
    CloseReason.INVALID_FRAME_PAYLOAD_DATA: (close_codes.TEXT_INVALID, CloseCause.PROTOCOL_ERROR),
    CloseReason.MESSAGE_TOO_BIG: (close_codes.LIMIT_EXCEEDED, CloseCause.LIMIT),
}


@dataclass(frozen=True, slots=True)
class Failure:
    """Why this side fails the connection, and the close code that it sends (RFC 6455 §7.1.7)."""

    code: CloseCode
    cause: CloseCause
    detail: str


new_utf8_decoder: Final = codecs.getincrementaldecoder("utf-8")


class _WSProto(FrameProtocol):
    """wsproto's decoder, out of its reference cycle: it keeps a generator, whose frame would keep the decoder."""

    def _parse_more_gen(self) -> Generator[Piece | None, None, None]:
        return FrameProtocol._parse_more_gen(weakref.proxy(self))


class Decoder:
    """The decoder of the peer's bytes; ``failure`` is its first error, after which it decodes nothing more."""

    def __init__(
        self,
        role: ConnectionType,
        deflate: PerMessageDeflate | None,
        max_message_size: int | None,
    ) -> None:
        self.failure: Failure | None = None
        self.holds_bytes = False
        """True if received bytes wait, for room in the queue or for the next turn; ``decode(b"", …)`` goes on."""
        self.has_met_control: bool = False
        """Whether the latest call has decoded a Ping or a Pong."""
        self._is_server = role is ConnectionType.SERVER
        self._deflate = deflate
        self._inflater = None if deflate is None else deflate.inflater
        self._decompress = None if deflate is None else deflate.decompress
        self._wsproto: _WSProto | None = None  # until a frame needs it
        self._limit = UNLIMITED if max_message_size is None else max_message_size
        self._max_fragments = max(FEWEST_FRAGMENTS, self._limit // BYTES_A_FRAGMENT)
        # Bytes that wait for room in the queue, or for the next turn; then ``holds_bytes`` is True.
        self._held = Pieces()
        self._decoded = 0  # bytes of those that are held
        # The rest of a plain binary frame, whose beginning is in ``_payload``, and the key of the next byte.
        self._missing = 0
        self._key = b""
        # The frame that wsproto is decoding: its header so far, then the payload bytes that are still to come.
        self._header = b""
        self._left: int | None = None
        self._close_payload = b""
        self._payload = Pieces()
        self._text = TextPieces()
        # The plain fragmented message of which each frame so far has arrived whole.
        self._opcode: int = 0
        self._utf8: codecs.IncrementalDecoder | None = None  # until a text is fragmented
        # The fragmented message that wsproto is decoding. The counts are those of either message.
        self._in_message = False
        self._message_size = 0
        self._message_fragments = 0
        self._message_compressed = False

    def forget(self) -> None:
        """Free what waits for more bytes, and the window of the received messages: no more will be decoded."""
        self._held, self._payload, self._text = Pieces(), Pieces(), TextPieces()
        if self._deflate is not None:
            self._deflate.forget_received()

    def decode(  # noqa: C901, PLR0912, PLR0915 - one loop, so that a receive that waits makes no further call
        self, data: bytes, queue: FrameQueue
    ) -> list[Frame | Close]:
        """Append the frames that ``data`` completes to the queue, as far as there is room, and return them.

        At most ``MAX_STEPS`` and ``MAX_BYTES`` are decoded, or a little more; ``holds_bytes`` is True if there is more.
        """
        new: list[Frame | Close] = []
        self.has_met_control = False
        position = steps = 0
        work = 0 if self._inflater is None else self._inflater.work
        if self.holds_bytes:
            if data:
                self._held.add(data)
            if queue.is_full:
                return new
            data = self._held.take()
            position, self._decoded = self._decoded, 0
            self.holds_bytes = False
        elif self._missing:
            position = self._collect(data)
            if self._missing:
                return new
            new.append(Binary(self._payload.take()))
            queue.extend(new)
        end = len(data)
        while position < end and self.failure is None:
            if queue.is_full or steps >= MAX_STEPS:
                if position > end - position:
                    data, position = data[position:], 0
                self._held.add(data)
                self._decoded = position
                self.holds_bytes = True
                break
            frames: list[Any] = []
            if self._header or self._left or self._in_message:
                position = self._decode_by_wsproto(data, position, frames)
                steps += STEPS_OF_WSPROTO
            elif self._opcode:
                position = self._decode_in_message(data, position, frames)
                steps += 1
            else:
                start = position
                try:
                    position = fast_path.decode(
                        data,
                        position,
                        self._is_server,
                        self._limit,
                        frames,
                        min(
                            queue.max_frames - len(queue.frames),
                            (queue.max_overhead - queue.overhead) // FRAME_COST + 1,
                            MAX_STEPS - steps,
                        ),
                        min(queue.max_size - queue.size, MAX_BYTES),
                        self._decompress,
                    )
                    steps += len(frames)
                except Refused as refused:
                    self._fail(refused.code, refused.failure)
                except UnicodeDecodeError as error:
                    self._fail(CloseReason.INVALID_FRAME_PAYLOAD_DATA, _not_utf8("text", error))
                if position == start and self.failure is None:
                    size = fast_path.whole_binary_frame_size(data, position, self._is_server, self._limit)
                    if size > end - position and (sizes := fast_path.frame_size(data[position : position + 14])):
                        header_size, self._missing = sizes
                        position += header_size
                        self._key = data[position - 4 : position] if self._is_server else b""
                        self._collect(data[position:])
                        break
                    position = self._decode_in_message(data, position, frames)
                    steps += STEPS_OF_WSPROTO
            if self._inflater is not None:
                steps += (self._inflater.work - work) * MAX_STEPS // MAX_BYTES
                work = self._inflater.work
            queue.extend(frames)
            new += frames
            if frames and type(frames[-1]) is Close:
                break
        return new

    def _collect(self, data: bytes) -> int:
        """Take bytes of the payload of a plain binary frame; return how many."""
        piece = data[: self._missing]
        self._missing -= len(piece)
        if self._key:
            key, used = self._key, len(piece) % 4
            self._key = key[used:] + key[:used]
            piece = fast_path.mask(piece, key)
        self._payload.add(piece)
        return len(piece)

    def _decode_in_message(self, data: bytes, position: int, frames: list[Frame | Close]) -> int:
        """Decode a frame that begins or continues a fragmented message; return the position after it.

        Leave the message to wsproto at the first frame that is not a plain whole fragment.
        """
        fragment = fast_path.decode_fragment(data, position, self._is_server, self._opcode != 0)
        if fragment is not None:
            first, payload, stop = fragment
            is_final = first >= fast_path.FINAL
            size, count = self._message_size + len(payload), self._message_fragments + 1
            if size <= self._limit and count <= self._max_fragments:
                opcode = self._opcode or first
                try:
                    if opcode == fast_path.TEXT:
                        self._utf8 = self._utf8 or new_utf8_decoder()
                        frames.append(Text(self._utf8.decode(payload, is_final), is_final))
                    else:
                        frames.append(Binary(payload, is_final))
                except UnicodeDecodeError:
                    pass
                else:
                    if is_final:
                        self._opcode = self._message_size = self._message_fragments = 0
                    else:
                        self._opcode, self._message_size, self._message_fragments = opcode, size, count
                    return stop
        elif self._opcode and (control := fast_path.decode_control(data, position, self._is_server)) is not None:
            frames.append(control[0])
            self.has_met_control = True
            return control[1]
        if self._opcode:
            self._leave_message_to_wsproto()
        return self._decode_by_wsproto(data, position, frames)

    def _leave_message_to_wsproto(self) -> None:
        """Have wsproto go on with the message whose first frames were decoded without it."""
        rest = b""
        if self._utf8 is not None:
            rest = self._utf8.getstate()[0]
            self._utf8.reset()
        size = len(rest) | (fast_path.MASKED if self._is_server else 0)
        header = bytes((self._opcode, size)) + (bytes(4) if self._is_server else b"")
        self._opcode = 0
        self._in_message = True
        nothing: list[Frame | Close] = []
        self._judge(header + rest, nothing, header)

    def _decode_by_wsproto(self, data: bytes, position: int, frames: list[Frame | Close]) -> int:
        """Pass bytes of one frame to wsproto, as far as they have arrived; return the position after them.

        A whole Ping or Pong is decoded here.
        """
        if self._left is None:
            known = len(self._header)
            if not known and (control := fast_path.decode_control(data, position, self._is_server)) is not None:
                frames.append(control[0])
                self.has_met_control = True
                return control[1]
            header = self._header + data[position : position + LONGEST_HEADER - known]
            size = fast_path.frame_size(header)
            if size is None:
                self._header = header
                self._judge(data[position:], frames)
                return len(data)
            header_size, self._left = size
            self._header = header[:header_size]
            start, position = position, position + header_size - known
            failure = self._exceeded_limit(header[0], self._left)
            if failure is None or self._left:
                # The header alone: whether it is valid comes before whether its frame is too large.
                self._judge(data[start:position], frames)
            if failure is not None and self.failure is None:
                self.failure = failure
            if self.failure is not None:
                return len(data)
        stop = min(position + self._left, position + SLICE, len(data))
        self._left -= stop - position
        header = self._header
        if not self._left:
            self._left = None
            self._header = b""
        if header[0] & 0x0F == fast_path.CLOSE:
            self._judge_close(header, data[position:stop], frames)
        elif stop > position:
            self._judge(data[position:stop], frames, header)
        return stop

    def _judge_close(self, header: bytes, payload: bytes, frames: list[Frame | Close]) -> None:
        """Pass the payload of a Close to wsproto once it is whole.

        1014 is in the registry that RFC 6455 §11.7 founds, but wsproto 1.3.2 refuses it: it is shown a 1013 instead.
        """
        self._close_payload += payload
        if self._left is not None or not self._close_payload:
            return
        payload = self._close_payload
        key = header[-4:] if header[1] & fast_path.MASKED else bytes(4)
        self._close_payload = fast_path.mask(payload, key)
        is_bad_gateway = self._close_payload[:2] == BAD_GATEWAY
        if is_bad_gateway:
            payload = payload[:1] + bytes([payload[1] ^ 1014 ^ 1013]) + payload[2:]
        self._judge(payload, frames, header)
        if is_bad_gateway and frames and isinstance(close := frames[-1], Close):
            frames[-1] = Close(CloseCode.BAD_GATEWAY, close.reason)

    def _exceeded_limit(self, first: int, payload_size: int) -> Failure | None:
        """Count a data frame before a byte of it is buffered; return a failure if its message exceeds a limit."""
        opcode = first & 0x0F
        if opcode > 2:
            return None
        if opcode:
            self._message_compressed = self._deflate is not None and bool(first & fast_path.RSV1)
        self._message_fragments += 1
        if self._message_fragments > self._max_fragments:
            return _too_big(f"a message of more than {self._max_fragments} fragments")
        if not self._message_compressed:  # The extension counts what it inflates.
            self._message_size += payload_size
        if self._message_size > self._limit:
            return _too_big(f"a message of at least {self._message_size} bytes, over the limit of {self._limit}")
        return None

    def _judge(self, data: bytes, frames: list[Frame | Close], header: bytes = b"") -> None:
        """Have wsproto decode bytes of one frame; append the frame once it is whole, or set the failure."""
        header = header or self._header
        was_in_message = self._in_message
        if self._wsproto is None:
            extensions: list[Extension] = [] if self._deflate is None else [self._deflate]
            self._wsproto = _WSProto(client=not self._is_server, extensions=extensions)
        try:
            self._wsproto.receive_bytes(data)
            for piece in self._wsproto.received_frames():
                self._take(piece, frames)
        except ParseFailed as error:
            self._fail(error.code, self._explained(header, was_in_message, error))

    def _take(self, piece: Piece, frames: list[Frame | Close]) -> None:
        payload = piece.payload
        match piece.opcode:
            case Opcode.PING if isinstance(payload, bytes):
                frames.append(Ping(payload))
                self.has_met_control = True
            case Opcode.PONG if isinstance(payload, bytes):
                frames.append(Pong(payload))
                self.has_met_control = True
            case Opcode.CLOSE if isinstance(payload, tuple):
                frames.append(Close(int(payload[0]), payload[1]))
            case _:
                self._take_data(piece, frames)

    def _take_data(self, piece: Piece, frames: list[Frame | Close]) -> None:
        """Collect the pieces of a data frame; wsproto returns a frame in as many pieces as it arrived in."""
        self._in_message = not piece.message_finished
        if isinstance(piece.payload, str):
            if piece.payload:
                self._text.add(piece.payload)
            if piece.frame_finished:
                frames.append(Text(self._text.take(), piece.message_finished))
        elif isinstance(piece.payload, bytes):
            if piece.payload:
                self._payload.add(piece.payload)
            if piece.frame_finished:
                frames.append(Binary(self._payload.take(), piece.message_finished))
        if not piece.frame_finished:
            return
        if piece.message_finished:
            self._message_size = self._message_fragments = 0
            self._message_compressed = False

    def _explained(self, header: bytes, in_message: bool, error: ParseFailed) -> str:
        if self._deflate is not None and self._deflate.failure is not None:
            return self._deflate.failure
        if error.code is CloseReason.INVALID_FRAME_PAYLOAD_DATA:
            kind = "a Close with a reason" if self._close_payload else "text"
            return _not_utf8(kind, error.__context__)
        violation = header_violation(
            header, from_client=self._is_server, in_message=in_message, compression=self._deflate is not None
        )
        return violation or close_violation(self._close_payload)

    def _fail(self, code: CloseReason, detail: str) -> None:
        self.failure = Failure(*FAILURES[code], detail)


def _too_big(detail: str) -> Failure:
    return Failure(close_codes.LIMIT_EXCEEDED, CloseCause.LIMIT, detail)


def _not_utf8(kind: str, error: BaseException | None) -> str:
    reason = error.reason if isinstance(error, UnicodeDecodeError) else "invalid bytes"
    return f"{kind} that is not UTF-8: {reason} (RFC 6455 §8.1)"
