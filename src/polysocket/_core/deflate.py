"""permessage-deflate (RFC 7692): its negotiation as pure functions, and the extension of one connection.

At most ``max_message_size + 1`` bytes of a message are inflated, however it is packed, fragmented or chunked. The
opening handshake parses the headers; the decoder passes frames to the extension, directly or via wsproto.
"""

from __future__ import annotations

import sys
import zlib
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from wsproto import ConnectionType
from wsproto.extensions import Extension
from wsproto.frame_protocol import CloseReason, FrameDecoder, FrameProtocol, Opcode, RsvBits

from polysocket.compression import Deflate
from polysocket.errors import InvalidUpgrade

if TYPE_CHECKING:
    from zlib import _Compress, _Decompress

__all__ = ["NAME", "DeflateParameters", "Parameters", "PerMessageDeflate", "accept", "agree", "offer"]


NAME: Final = "permessage-deflate"

Parameters = Sequence[tuple[str, str | None]]
"""The parameters of one element of ``Sec-WebSocket-Extensions``, in their order; None for one without a value."""

_FLAGS = ("server_no_context_takeover", "client_no_context_takeover")
_LIMITS = ("server_max_window_bits", "client_max_window_bits")
_WINDOW_BITS = {str(bits): bits for bits in range(8, 16)}  # RFC 7692 §7.1.2: a decimal number without leading zeros
_TAIL = b"\x00\x00\xff\xff"  # §7.2.1: the sender cuts it off, the receiver appends it
_EMPTY_STORED_BLOCK = b"\x00"  # §7.2.3.6: an empty message without its tail
_MOST_PIECES = 64  # of remembered output: each costs CPython about 40 bytes, so one-byte messages must be joined
_MOST_FINAL_BLOCKS = 8192  # in a frame: each needs a new zlib stream, 2 µs for 2 bytes; senders make none, or one
_WORK_OF_STREAM = 2048  # bytes that are inflated in the same time
_STEP = 1024  # bytes after a final block: zlib copies what follows one, so larger steps cost the square of their size


@dataclass(frozen=True, slots=True)
class DeflateParameters:
    """The agreed parameters, the same for both sides; window bits without a limit are None, which means 15."""

    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    server_max_window_bits: int | None = None
    client_max_window_bits: int | None = None

    def __str__(self) -> str:
        """Return the text of the Sec-WebSocket-Extensions header that agrees on the parameters."""
        return _header_text(self)


def _header_text(parameters: DeflateParameters | Deflate) -> str:
    flags = [name for name in _FLAGS if getattr(parameters, name)]
    limits = [f"{name}={bits}" for name in _LIMITS if (bits := getattr(parameters, name)) is not None]
    return "; ".join([NAME, *flags, *limits])


@lru_cache(maxsize=16)  # A program connects with few settings, and often.
def offer(config: Deflate) -> str:
    """Return the client's offer, with ``client_max_window_bits``: the server may limit our window (§7.1.2.2)."""
    wanted = _header_text(config)
    return f"{wanted}; client_max_window_bits" if config.client_max_window_bits is None else wanted


def agree(config: Deflate, params: Parameters, max_message_size: int | None) -> PerMessageDeflate:
    """Return the extension for the server's answer to :func:`offer`; raises :class:`InvalidUpgrade` (§7.1)."""
    answer = _read(params)
    if config.server_no_context_takeover and "server_no_context_takeover" not in answer:
        raise InvalidUpgrade(f"{NAME}: the answer lacks server_no_context_takeover, which was offered")
    offered_bits, server_bits = config.server_max_window_bits, answer.get("server_max_window_bits")
    if offered_bits is not None and server_bits is None:
        raise InvalidUpgrade(f"{NAME}: the answer lacks server_max_window_bits, which was offered")
    if offered_bits is not None and server_bits is not None and server_bits > offered_bits:
        raise InvalidUpgrade(f"{NAME}: the answer has server_max_window_bits={server_bits}, above {offered_bits}")
    client_bits = answer.get("client_max_window_bits")
    if client_bits is None and "client_max_window_bits" in answer:
        raise InvalidUpgrade(f"{NAME}: client_max_window_bits needs a value in an answer")
    agreed = DeflateParameters(
        server_no_context_takeover="server_no_context_takeover" in answer,
        # What the offer says of our own compressor holds, whatever is answered (§7.1.1.2, §7.1.2.2).
        client_no_context_takeover=config.client_no_context_takeover or "client_no_context_takeover" in answer,
        server_max_window_bits=server_bits,
        client_max_window_bits=_least(client_bits, config.client_max_window_bits),
    )
    return PerMessageDeflate(ConnectionType.CLIENT, agreed, config, max_message_size)


def accept(config: Deflate, params: Parameters, max_message_size: int | None) -> tuple[str, PerMessageDeflate] | None:
    """Return the server's answer to one offer, with its extension; None for an offer that RFC 7692 does not allow.

    Accept a client whose window bits can't be limited (no ``client_max_window_bits`` in the offer) with 15.
    """
    try:
        offered = _read(params)
    except InvalidUpgrade:
        return None
    client_bits = None
    if "client_max_window_bits" in offered:
        client_bits = _least(offered["client_max_window_bits"], config.client_max_window_bits)
    agreed = DeflateParameters(
        server_no_context_takeover=config.server_no_context_takeover or "server_no_context_takeover" in offered,
        client_no_context_takeover=config.client_no_context_takeover or "client_no_context_takeover" in offered,
        server_max_window_bits=_least(offered.get("server_max_window_bits"), config.server_max_window_bits),
        client_max_window_bits=client_bits,
    )
    return str(agreed), PerMessageDeflate(ConnectionType.SERVER, agreed, config, max_message_size)


def _read(params: Parameters) -> dict[str, int | None]:
    """Return the parameters by name, with their window bits if they have any; raises :class:`InvalidUpgrade`."""
    values: dict[str, int | None] = {}
    for name, value in params:
        if name in values:
            raise InvalidUpgrade(f"{NAME}: {name} is there twice")
        values[name] = None
        if name in _FLAGS:
            if value is not None:
                raise InvalidUpgrade(f"{NAME}: {name} takes no value, but has {value!r}")
        elif name not in _LIMITS:
            raise InvalidUpgrade(f"{NAME}: there is no parameter {name!r}")
        elif value is not None or name != "client_max_window_bits":  # It needs none in an offer (§7.1.2.2).
            if value not in _WINDOW_BITS:
                raise InvalidUpgrade(f"{NAME}: {name} needs a number from 8 to 15, but has {value!r}")
            values[name] = _WINDOW_BITS[value]
    return values


def _least(*limits: int | None) -> int | None:
    """Return the least of the limits that are set."""
    return min([limit for limit in limits if limit is not None], default=None)


class Refused(Exception):
    """A compressed message that fails the connection, with the close code that wsproto is told."""

    def __init__(self, code: CloseReason, failure: str) -> None:
        super().__init__(failure)
        self.code = code
        self.failure = failure


class PerMessageDeflate(Extension):
    """The extension on one connection; ``failure`` says what was wrong with a refused frame."""

    name = NAME

    def __init__(
        self,
        role: ConnectionType,
        parameters: DeflateParameters,
        config: Deflate,
        max_message_size: int | None,
    ) -> None:
        self.parameters = parameters
        self.failure: str | None = None
        client = parameters.client_no_context_takeover, parameters.client_max_window_bits or 15
        server = parameters.server_no_context_takeover, parameters.server_max_window_bits or 15
        outbound, inbound = (client, server) if role is ConnectionType.CLIENT else (server, client)
        deflater = _Deflater(*outbound, config.level, config.memory_level)
        self.inflater: _Inflater = _Inflater(*inbound, max_message_size)
        self._message_compressed = False  # for the message being received
        self._frame_compressed = False  # for the current frame, which may be a control frame within that message
        self._deflater = deflater
        self.compress: Callable[[bytes, bool], bytes] = deflater.deflate
        """Compress the payload of one data frame; True for the last frame of its message (§7.2.1)."""
        self.decompress: Callable[[bytes], bytes] = self.inflater.inflate_message
        """Decompress the payload of a whole message (§7.2.2). Raises :class:`Refused`."""

    def enabled(self) -> bool:
        """Return True: the extension exists only after both sides agreed."""
        return True

    def offer(self) -> bool:
        """Return False: wsproto's own handshake is not in use, so nothing more is offered."""
        return False

    def forget_sent(self) -> None:
        """Free the window of the sent messages: no more will be sent."""
        self._deflater.forget()

    def forget_received(self) -> None:
        """Free the window of the received messages: no more will be received."""
        self.inflater.forget()

    def frame_inbound_header(
        self,
        proto: FrameDecoder | FrameProtocol,
        opcode: Opcode,
        rsv: RsvBits,
        payload_length: int,
    ) -> CloseReason | RsvBits:
        """Check RSV1 (§6); wsproto calls this again if the masking key of the same header arrives later."""
        if opcode.iscontrol() or opcode is Opcode.CONTINUATION:
            if rsv.rsv1:
                return self._fail(Refused(CloseReason.PROTOCOL_ERROR, f"RSV1 is set on a {opcode.name} frame"))
        else:
            self._message_compressed = rsv.rsv1
            self.inflater.begin()
        self.inflater.begin_frame()
        self._frame_compressed = self._message_compressed and not opcode.iscontrol()
        return RsvBits(True, False, False)

    def frame_inbound_payload_data(self, proto: FrameDecoder | FrameProtocol, data: bytes) -> bytes | CloseReason:
        """Inflate some bytes of the frame."""
        if not self._frame_compressed:
            return data
        try:
            return self.inflater.feed(data)
        except Refused as refused:
            return self._fail(refused)

    def frame_inbound_complete(self, proto: FrameDecoder | FrameProtocol, fin: bool) -> bytes | CloseReason | None:
        """Inflate the rest of the message after its last frame."""
        if not (fin and self._frame_compressed):
            return None
        self._message_compressed = False
        try:
            return self.inflater.finish()
        except Refused as refused:
            return self._fail(refused)

    def frame_outbound(
        self,
        proto: FrameDecoder | FrameProtocol,
        opcode: Opcode,
        rsv: RsvBits,
        data: bytes,
        fin: bool,
    ) -> tuple[RsvBits, bytes]:
        """Compress a data frame, and set RSV1 on the first of a message (§6); the encoder calls ``compress`` itself."""
        if opcode.iscontrol():
            return rsv, data
        if opcode is not Opcode.CONTINUATION:
            rsv = RsvBits(True, rsv.rsv2, rsv.rsv3)
        return rsv, self.compress(data, fin)

    def _fail(self, refused: Refused) -> CloseReason:
        self.failure = refused.failure
        return refused.code


class _Deflater:
    """The compressor of the messages that this side sends (§7.2.1)."""

    def __init__(self, no_context_takeover: bool, window_bits: int, level: int, memory_level: int) -> None:
        self._no_context_takeover = no_context_takeover
        # zlib makes no raw stream with 8 bits. With 9 its distances reach 2**9 - 262 = 250, within a window of 2**8.
        self._window_bits = max(window_bits, 9)
        self._level = level
        self._memory_level = memory_level
        self._stream: _Compress | None = None

    def forget(self) -> None:
        self._stream = None

    def deflate(self, data: bytes, fin: bool) -> bytes:
        if self._stream is None:
            self._stream = zlib.compressobj(self._level, zlib.DEFLATED, -self._window_bits, self._memory_level)
        output = self._stream.compress(data) + self._stream.flush(zlib.Z_SYNC_FLUSH)
        if not fin:
            return output
        if self._no_context_takeover:
            self._stream = None
        return output.removesuffix(_TAIL) or _EMPTY_STORED_BLOCK


class _Inflater:
    """The decompressor of the peer's messages (§7.2.2): ``begin``, ``feed`` their bytes, ``finish``."""

    def __init__(self, no_context_takeover: bool, window_bits: int, max_message_size: int | None) -> None:
        self._no_context_takeover = no_context_takeover
        self._window_bits = window_bits
        self._window_size = 2**window_bits
        self._max_message_size = sys.maxsize - 1 if max_message_size is None else max_message_size
        self._stream: _Decompress | None = None
        # The last output, which a new stream needs after a final block: Python's zlib doesn't return its window.
        self._window: deque[bytes] = deque()
        self._remembered = 0  # bytes in the window
        self._room = self._max_message_size + 1
        self._at_boundary = True
        self.work: int = 0  # bytes that were inflated, and what new streams cost
        self._final_blocks = 0  # in the frame

    def begin_frame(self) -> None:
        self._final_blocks = 0

    def begin(self) -> None:
        self._room = self._max_message_size + 1
        self._at_boundary = True

    def inflate_message(self, data: bytes) -> bytes:
        """Inflate the payload of a message in one frame, as ``begin``, ``feed`` and ``finish`` do."""
        if not data:  # An empty message has no block that the tail could complete: see finish().
            return b""
        stream = self._stream
        if stream is None or stream.eof:
            self._stream = stream = self._new_stream()
        self._room = self._max_message_size + 1
        self._final_blocks = 0
        output = self._inflate(stream, data + _TAIL)
        if stream.eof:
            rest = stream.unused_data
            output += self.feed(rest if len(rest) < len(_TAIL) else rest[: -len(_TAIL)])
            if len(rest) > len(_TAIL) and not self._at_boundary:
                output += self.feed(_TAIL)
        if self._no_context_takeover:
            self.forget()
        return output

    def feed(self, data: bytes) -> bytes:
        """Inflate some bytes; after a final block the message goes on in a new stream (§7.2.3.4)."""
        pieces: list[bytes] = []
        start, step = 0, len(data)
        while start < len(data):
            if self._stream is None or self._stream.eof:
                self._stream = self._new_stream()
            piece = data[start : start + step]
            pieces.append(self._inflate(self._stream, piece))
            start += len(piece) - len(self._stream.unused_data)
            step = _STEP
            self._at_boundary = self._stream.eof
        return b"".join(pieces)

    def finish(self) -> bytes:
        """Inflate the tail, which completes the block that the last byte opened (§7.2.2).

        A sender may wrongly have left that byte out, in an empty message or after a final block. Then the tail would
        be half of a block's header, and the next message the other half.
        """
        output = b"" if self._at_boundary else self.feed(_TAIL)
        if self._no_context_takeover:
            self.forget()
        return output

    def _new_stream(self) -> _Decompress:
        self.work += _WORK_OF_STREAM
        self._final_blocks += 1
        if self._final_blocks > _MOST_FINAL_BLOCKS:
            raise Refused(CloseReason.MESSAGE_TOO_BIG, f"a frame of more than {_MOST_FINAL_BLOCKS} final blocks")
        return zlib.decompressobj(-self._window_bits, b"".join(self._window)[-self._window_size :])

    def forget(self) -> None:
        self._stream = None
        self._window.clear()
        self._remembered = 0

    def _inflate(self, stream: _Decompress, data: bytes) -> bytes:
        try:
            output = stream.decompress(data, self._room)
        except zlib.error as error:
            raise Refused(CloseReason.INVALID_FRAME_PAYLOAD_DATA, f"corrupt deflate data: {error}") from error
        self._room -= len(output)
        self.work += len(output)
        if self._room == 0:  # so that nothing is ever left in the stream's unconsumed_tail
            failure = f"a message inflates to more than {self._max_message_size} bytes"
            raise Refused(CloseReason.MESSAGE_TOO_BIG, failure)
        if output:
            last = output[-self._window_size :]
            window = self._window
            window.append(last)
            self._remembered += len(last)
            while self._remembered - len(window[0]) >= self._window_size:
                self._remembered -= len(window.popleft())
            if len(window) > _MOST_PIECES:
                joined = b"".join(window)[-self._window_size :]
                self._window = deque([joined])
                self._remembered = len(joined)
        return output
