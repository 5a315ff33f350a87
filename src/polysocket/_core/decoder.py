"""Received bytes to frames, in any chunks: whole frames by the fast path, other frames as their bytes arrive.

wsproto judges each header that is not valid, and each Close but the common ones. Limits are checked before a byte is
buffered, and nothing is read after a failure or a Close.
"""

from __future__ import annotations

from codecs import utf_8_decode
from typing import Final

from polysocket._core import fast_path
from polysocket._core.failure import Failure, Refused, not_utf8
from polysocket._core.fast_path import CLOSE, CONTINUATION, FINAL, PING, RSV1, TEXT, UNLIMITED
from polysocket._core.frame_queue import FRAME_COST, FrameQueue
from polysocket._core.judge import judge
from polysocket._core.masking import mask
from polysocket._core.partial_message import PartialMessage
from polysocket._core.pieces import LEAST_ROOM, Payload, Pieces, payload_of
from polysocket._core.received import FRAGMENT, LAST_FRAGMENT, SIZE, UNPACKED, WHOLE, PackedText, Received, frame_of
from polysocket._core.zlib_streams import AT_ONCE, Inflater
from polysocket.frames import Close, Frame, Ping, Pong

__all__ = ["Decoder"]

# How much is decoded in one turn, so that an event loop is not held up for long. At most 50 ms is the aim.
MAX_STEPS: Final = 2048  # a step is a data frame (about 2 µs uncompiled), or a new zlib stream
STEPS_OF_CONTROL: Final = 4  # a control frame, which is answered or matched
MAX_BYTES: Final = 1024 * 1024  # they take about 3 ms to inflate
SLICE: Final = 64 * 1024  # bytes that are inflated at once, to at most AT_ONCE

# The payloads of nearly all Closes, and their codes: wsproto takes 35 µs to judge one.
COMMON_CLOSES: Final = {b"": 1005, b"\x03\xe8": 1000, b"\x03\xe9": 1001}
LARGE: Final = 16 * 1024  # bytes of a payload that is copied straight from a view: for fewer, that takes longer
LONGEST_HEADER: Final = 14  # bytes: 2, an 8-byte length and a masking key (RFC 6455 §5.2)
LONGEST_CONTROL: Final = 131  # bytes of a whole control frame (§5.5)


class Decoder:
    """The decoder of the peer's bytes; ``failure`` is its first error, after which it decodes nothing more."""

    __slots__ = (
        "_begun",
        "_decoded",
        "_final",
        "_held",
        "_inflated",
        "_inflater",
        "_is_server",
        "_key",
        "_message",
        "_missing",
        "_payload",
        "failure",
        "has_met_control",
        "has_room",
        "holds_bytes",
    )

    def __init__(self, is_server: bool, inflater: Inflater | None, max_message_size: int | None) -> None:
        self.failure: Failure | None = None
        self.holds_bytes: bool = False
        """True if received bytes wait, for room in the queue or for the next turn; ``decode(b"", …)`` goes on."""
        self.has_met_control: bool = False
        """Whether the latest call has decoded a Ping or a Pong."""
        self.has_room: bool = False
        """Whether there is a :meth:`room` for the next bytes."""
        self._is_server = is_server
        self._inflater = inflater
        self._message = PartialMessage(UNLIMITED if max_message_size is None else max_message_size)
        # Bytes that wait for room in the queue, or for the next turn; then ``holds_bytes`` is True.
        self._held: Pieces | None = None
        self._decoded = 0  # bytes of those that are held
        self._begun = b""  # of a header, or of a control frame
        # The data frame that has arrived in part.
        self._missing = -1  # bytes of its payload; -1 between two frames
        self._final = False
        self._key = b""  # for the next byte of the payload; empty if it is not masked
        self._payload: Payload | None = None
        self._inflated = Pieces()  # of its payload, if it is compressed

    def forget(self) -> None:
        """Free what waits for more bytes, and the window of the received messages: no more will be decoded."""
        self._held = self._payload = None
        self._inflated = Pieces()
        if self._inflater is not None:
            self._inflater.forget()

    def decode(  # noqa: C901, PLR0912, PLR0915
        self, data: bytes, queue: FrameQueue, with_data: bool = True
    ) -> list[Frame | Close]:
        """Append the frames that ``data`` completes to the queue, as far as there is room, and return them.

        At most ``MAX_STEPS`` and ``MAX_BYTES`` are decoded, or a little more; ``holds_bytes`` is True if there is more.
        Data frames are returned only if ``with_data`` is True.
        """
        new: list[Frame | Close] = []
        self.has_met_control = False
        inflater = self._inflater
        position = steps = 0
        work = 0 if inflater is None else inflater.work
        if self.holds_bytes:
            assert self._held is not None, "the bytes are there"
            if data:
                self._held.add(data)
            if queue.is_full:
                return new
            data = self._held.take()
            position, self._decoded = self._decoded, 0
            self.holds_bytes = False
        end = len(data)
        while position < end and self.failure is None:
            if queue.is_full or steps >= MAX_STEPS:
                self._hold(data, position)
                break
            frames: list[Received] = []
            marks: list[int] = []
            try:
                if self._missing >= 0:
                    position = self._collect(data, position, frames, marks)
                    steps += 1
                else:
                    start = position
                    if not self._begun:
                        most = min(
                            queue.max_frames - queue.count,
                            (queue.max_overhead - queue.overhead) // FRAME_COST + 1,
                            MAX_STEPS - steps,
                        )
                        position = fast_path.decode(
                            data,
                            position,
                            self._is_server,
                            self._message,
                            frames,
                            marks,
                            most,
                            min(queue.max_size - queue.size, MAX_BYTES),
                            inflater,
                        )
                        steps += len(frames)
                    if position == start:
                        position = self._begin(data, position, frames, marks)
                        steps += STEPS_OF_CONTROL if self.has_met_control else 1
            except Refused as refused:
                self.failure = refused.failure
            except UnicodeDecodeError as error:
                self.failure = not_utf8("text", error)
            if inflater is not None:
                steps += (inflater.work - work) * MAX_STEPS // MAX_BYTES
                work = inflater.work
            if frames:
                latest = frames[-1]
                if with_data:
                    new += _frames_of(frames, marks)
                elif isinstance(latest, (Ping, Pong, Close)):  # A control frame is decoded alone.
                    new.append(latest)
                queue.extend(frames, marks)
                if isinstance(latest, Close):
                    break
        payload = self._payload
        self.has_room = payload is not None and payload.lends and self._missing >= LEAST_ROOM and not self.holds_bytes
        return new

    def decode_view(self, data: memoryview, queue: FrameQueue, with_data: bool = True) -> list[Frame | Close]:
        """Do what :meth:`decode` does with a view: copy large payloads only once, to where they belong."""
        new: list[Frame | Close] = []
        position = 0
        while len(data) - position >= LARGE and not (self.holds_bytes or self._begun or queue.is_full):
            frames, marks = list[Received](), list[int]()
            try:
                if self._payload is None:
                    start = self._begin_large(bytes(data[position : position + LONGEST_HEADER]))
                    if start == 0:
                        break
                    position += start
                stop = min(position + self._missing, len(data))
                self._add(data[position:stop], frames, marks)
            except Refused as refused:
                self.failure = refused.failure
                break
            except UnicodeDecodeError as error:
                self.failure = not_utf8("text", error)
                break
            position = stop
            if with_data:
                new += _frames_of(frames, marks)
            queue.extend(frames, marks)
        return new + self.decode(bytes(data[position:]), queue, with_data)

    def _begin_large(self, header: bytes) -> int:
        """Begin with a large data frame, and return the size of its header; 0 if the next one is not such a frame."""
        message, opcode = self._message, header[0] & 0x0F
        in_message = message.opcode != 0
        size = fast_path.parse_header(header, 0, self._is_server, in_message, self._inflater is not None)
        is_compressed = message.is_compressed if opcode == CONTINUATION else header[0] & RSV1
        if self._is_server or size <= 0 or opcode >= CLOSE or is_compressed:
            return 0
        payload_size = fast_path.payload_size(header, 0)
        if payload_size < LARGE:
            return 0
        self._begin_data(header[0], opcode, payload_size, b"")
        return size

    def room(self) -> memoryview:
        """Return the buffer for the rest of the payload that is arriving, or for a part of it.

        It is valid until the next call of a method.
        """
        assert self._payload is not None, "has_room was True"
        return self._payload.room()

    def note_filled(self, size: int, queue: FrameQueue, with_data: bool = True) -> list[Frame | Close]:
        """Take bytes that were written to :meth:`room` as :meth:`decode` takes others."""
        payload, frames, marks = self._payload, list[Received](), list[int]()
        assert payload is not None, "has_room was True"
        payload.note_filled(size, self._unmasked if self._key else None)
        try:
            self._note_arrived(payload, size, frames, marks)
        except UnicodeDecodeError as error:
            self.failure = not_utf8("text", error)
        self.has_room = self._missing >= LEAST_ROOM
        new = _frames_of(frames, marks) if with_data else []
        queue.extend(frames, marks)
        return new

    def _hold(self, data: bytes, position: int) -> None:
        """Hold the bytes from ``position`` on for the next call."""
        if position > len(data) - position:
            data, position = data[position:], 0
        if self._held is None:
            self._held = Pieces()
        self._held.add(data)
        self._decoded = position
        self.holds_bytes = True

    def _begin(self, data: bytes, position: int, frames: list[Received], marks: list[int]) -> int:
        """Begin with a frame, or end it if it is short; return the position after the bytes that were taken."""
        begun = self._begun
        if begun:  # Go on with all bytes of the header, or of the control frame, in one piece.
            taken = position + LONGEST_CONTROL - len(begun)
            frame, at = begun + data[position:taken], 0
            before = position - len(begun)  # the position in ``data`` of the frame's first byte
        else:
            frame, at, before = data, position, position
        in_message = self._message.opcode != 0
        size = fast_path.parse_header(frame, at, self._is_server, in_message, self._inflater is not None)
        if size < 0:
            self._judge(frame[at : at + LONGEST_HEADER], b"", frames, marks)
            return len(data)
        if size == 0:
            self._begun = frame[at:]
            return len(data)
        payload_size = fast_path.payload_size(frame, at)
        opcode = frame[at] & 0x0F
        if opcode >= CLOSE:
            stop = at + size + payload_size
            if len(frame) < stop:
                self._begun = frame[at:]
                return len(data)
            self._begun = b""
            self._take_control(opcode, frame[at : at + size], frame[at + size : stop], frames, marks)
            return before + size + payload_size
        self._begun = b""
        key = frame[at + size - 4 : at + size] if self._is_server else b""
        self._begin_data(frame[at], opcode, payload_size, key)
        return self._collect(data, before + size, frames, marks)

    def _judge(self, header: bytes, payload: bytes, frames: list[Received], marks: list[int]) -> None:
        """Have wsproto judge a Close or an invalid header."""
        verdict = judge(
            header,
            payload,
            from_client=self._is_server,
            in_message=self._message.opcode != 0,
            compression=self._inflater is not None,
        )
        if isinstance(verdict, Close):
            frames.append(verdict)
            marks.append(len(payload) << SIZE)
        else:
            self.failure = verdict

    def _take_control(
        self, opcode: int, header: bytes, payload: bytes, frames: list[Received], marks: list[int]
    ) -> None:
        if self._is_server:
            payload = mask(payload, header[2:])
        if opcode == CLOSE and payload not in COMMON_CLOSES:
            self._judge(header, payload, frames, marks)
            return
        if opcode == CLOSE:
            frames.append(Close(COMMON_CLOSES[payload]))
        else:
            frames.append(Ping(payload) if opcode == PING else Pong(payload))
            self.has_met_control = True
        marks.append(len(payload) << SIZE)

    def _begin_data(self, first: int, opcode: int, payload_size: int, key: bytes) -> None:
        """Begin with a data frame; raises :class:`Refused` before a byte of it is buffered if it exceeds a limit."""
        inflater, message = self._inflater, self._message
        if opcode != CONTINUATION:
            message.begin(opcode, first & RSV1 != 0)
            if message.is_compressed and inflater is not None:
                inflater.begin()
        message.admit_frame(payload_size)
        if message.is_compressed and inflater is not None:
            inflater.begin_frame()
        self._missing = payload_size
        self._final = first & FINAL != 0
        self._key = key

    def _collect(self, data: bytes, position: int, frames: list[Received], marks: list[int]) -> int:
        """Take bytes of the data frame's payload, and the frame once it is whole; return the position after them."""
        message = self._message
        stop = min(position + self._missing, len(data))
        if message.is_compressed and self._inflater is not None:
            stop = min(stop, position + SLICE)
            return position + self._collect_compressed(data[position:stop], self._inflater, frames, marks)
        self._add(memoryview(data)[position:stop], frames, marks)
        return stop

    def _add(self, part: memoryview, frames: list[Received], marks: list[int]) -> None:
        """Take the next bytes of an uncompressed payload."""
        payload, message = self._payload, self._message
        if payload is None:
            self._payload = payload = payload_of(message.rest, self._missing)
            message.rest = b""
        payload.add(self._unmasked(bytes(part)) if self._key else part)
        self._note_arrived(payload, len(part), frames, marks)

    def _note_arrived(self, payload: Payload, size: int, frames: list[Received], marks: list[int]) -> None:
        """Check new bytes of an uncompressed payload, and take the frame if it is whole."""
        message = self._message
        self._missing -= size
        is_whole = self._missing == 0
        if message.opcode == TEXT:  # It is checked as its bytes arrive, so that a wrong one is found at once.
            payload.check_text(is_whole and self._final)
        if is_whole:
            self._payload = None
            if message.opcode == TEXT:
                whole, message.rest = payload.take_text()
            else:
                whole = payload.take()
            self._end_frame(whole, frames, marks)

    def _collect_compressed(self, piece: bytes, inflater: Inflater, frames: list[Received], marks: list[int]) -> int:
        """Inflate bytes of a compressed payload, and take the frame if it is whole; return how many were inflated."""
        message, key = self._message, self._key
        taken = len(piece)
        piece = inflater.feed(mask(piece, key) if key else piece, AT_ONCE)
        taken -= inflater.left
        self._key = key[taken % 4 :] + key[: taken % 4]
        self._missing -= taken
        is_whole = self._missing == 0
        is_last = is_whole and self._final
        if is_last:
            piece += inflater.finish()
        if message.opcode == TEXT:
            piece = message.rest + piece
            decoded = utf_8_decode(piece, "strict", is_last)[1]
            message.rest = piece[decoded:]
            piece = piece[:decoded]
        self._inflated.add(piece)
        if is_whole:
            self._end_frame(self._inflated.take(), frames, marks)
        return taken

    def _unmasked(self, part: bytes) -> bytes:
        """Unmask the next bytes of the payload."""
        key, used = self._key, len(part) % 4
        self._key = key[used:] + key[:used]
        return mask(part, key)

    def _end_frame(self, payload: bytes, frames: list[Received], marks: list[int]) -> None:
        message = self._message
        part = FRAGMENT if not self._final else WHOLE if message.fragments == 1 else LAST_FRAGMENT
        if message.opcode == TEXT and len(payload) >= UNPACKED and not payload.isascii():
            frames.append(PackedText(payload))
        else:
            frames.append(payload.decode() if message.opcode == TEXT else payload)
        marks.append(len(payload) << SIZE | part)
        self._missing = -1
        if self._final:
            message.opcode = 0


def _frames_of(received: list[Received], marks: list[int]) -> list[Frame | Close]:
    return [frame_of(each, mark) for each, mark in zip(received, marks, strict=True)]
