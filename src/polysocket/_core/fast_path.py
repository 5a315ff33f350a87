"""The headers of frames (RFC 6455 §5.2), and the fast path: data frames that have arrived, straight to values.

Nothing here accepts what wsproto refuses, or returns other frames than wsproto.
"""

from __future__ import annotations

from typing import Final

from polysocket._core.masking import mask
from polysocket._core.partial_message import PartialMessage
from polysocket._core.received import FRAGMENT, LAST_FRAGMENT, SIZE, UNPACKED, WHOLE, PackedText, Received, is_wide
from polysocket._core.validation import MAX_CONTROL_PAYLOAD
from polysocket._core.zlib_streams import Inflater

__all__ = [
    "BINARY",
    "CLOSE",
    "CONTINUATION",
    "FINAL",
    "MASKED",
    "PING",
    "PONG",
    "RSV1",
    "TEXT",
    "UNLIMITED",
    "decode",
    "parse_header",
    "payload_size",
]

# The bits and opcodes of RFC 6455 §5.2.
FINAL: Final = 0x80
RSV1: Final = 0x40
RSV2_AND_RSV3: Final = 0x30
MASKED: Final = 0x80
CONTINUATION: Final = 0x0
TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA

WORK: Final = 1024  # bytes that are inflated in the time for a byte of the worst deflate data, all final blocks
UNLIMITED: Final = 2**63 - 1  # RFC 6455 §5.2: no payload is longer


def decode(  # noqa: C901, PLR0912, PLR0915, PLR0917 - one loop, so that a frame costs no further call
    data: bytes,
    position: int,
    masked: bool,
    message: PartialMessage,
    frames: list[Received],
    marks: list[int],
    most: int = UNLIMITED,
    most_bytes: int = UNLIMITED,
    inflater: Inflater | None = None,
) -> int:
    """Append the whole data frames that begin at ``position`` to ``frames``; return the position after them.

    It stops before any other frame: one that has not arrived, is not valid or is a control frame, a compressed
    fragment or a compressed message that may be large, and a fragment of a text that begins or ends within a character.

    Args:
        data: Bytes from the peer.
        position: An index between two frames.
        masked: True if the peer is a client (RFC 6455 §5.1).
        message: The message that the first frame may continue.
        frames: The list to append to.
        marks: The list to which the mark of each is appended.
        most: The largest number of frames to append.
        most_bytes: The number of payload bytes, or the work for as many, after which to stop.
        inflater: The decompressor of the peer's messages, if compression was negotiated.

    Raises:
        Refused: A message can't be decompressed, or a fragment exceeds a limit.
        UnicodeDecodeError: A compressed text is not UTF-8.
    """
    end = len(data)
    masked_bit = MASKED if masked else 0
    limit = min(message.limit, end)  # No whole frame is larger, and compiled code is slow with integers of 63 bits.
    held = 0  # bytes of payload
    taken = 0  # those, and the work for as many
    while end - position >= 2 and most > 0 and taken < most_bytes:
        first = data[position]
        opcode = first & 0x0F
        size = data[position + 1] ^ masked_bit
        start = position + 2
        # The masking bit may be wrong, too: then the size is 128 or more.
        if opcode > BINARY or size > 127 or first & RSV2_AND_RSV3:
            break
        compressed = first & RSV1
        kind = message.opcode
        is_whole = first >= FINAL and kind == 0
        if opcode == CONTINUATION:
            if kind == 0 or compressed or message.is_compressed or message.rest:
                break
        elif kind != 0 or (compressed and (inflater is None or not is_whole)):
            break
        else:
            kind = opcode
        if size >= 126:
            if size == 126:
                if end - start < 2:
                    break
                size = data[start] << 8 | data[start + 1]
                start += 2
                if size < 126:  # RFC 6455 §5.2: the minimal number of bytes
                    break
            else:
                if end - start < 8:
                    break
                size = int.from_bytes(data[start : start + 8], "big")
                start += 8
                if size < 65536 or size >= 1 << 63:
                    break
        if size > limit and not compressed:  # A compressed message counts after inflation.
            break
        if masked:
            start += 4
        stop = start + size
        if stop > end:
            break
        payload = data[start:stop]
        if masked:
            payload = mask(payload, data[start - 4 : start])
        if compressed and inflater is not None:
            if size > inflater.largest_at_once:
                break
            taken += size * WORK  # so that the caller can count the work after a few frames
            payload = inflater.inflate_message(payload)
            size = len(payload)
        text = ""
        if kind == TEXT:
            try:
                text = payload.decode()
            except UnicodeDecodeError:
                if compressed:
                    raise
                break
        part = WHOLE
        if not is_whole:
            if opcode != CONTINUATION:
                message.begin(opcode, is_compressed=False)
            message.admit_frame(size)
            part = FRAGMENT
            if first >= FINAL:
                part = LAST_FRAGMENT
                message.opcode = 0
        if kind != TEXT:
            frames.append(payload)
        elif held >= UNPACKED and len(text) != size and is_wide(text, size):
            frames.append(PackedText(payload))
        else:
            frames.append(text)
        marks.append(size << SIZE | part)
        held += size
        taken += size
        most -= 1
        position = stop
    return position


def parse_header(data: bytes, position: int, masked: bool, in_message: bool, compression: bool) -> int:
    """Return the size in bytes of the valid header at ``position`` (RFC 6455 §5.2).

    0 if more of it is needed, and -1 if it is not valid. ``masked`` is True if the peer is a client, ``in_message``
    between two fragments of a message, ``compression`` if permessage-deflate was negotiated.
    """
    here = len(data) - position
    if here < 2:
        return 0
    first = data[position]
    opcode = first & 0x0F
    size = data[position + 1] ^ (MASKED if masked else 0)
    reserved = first & 0x70
    if opcode >= CLOSE:
        if opcode > PONG or reserved or not first & FINAL or size > MAX_CONTROL_PAYLOAD:
            return -1
    elif (
        opcode > BINARY
        or (opcode == CONTINUATION) != in_message
        or size > 127
        or (reserved and (reserved != RSV1 or in_message or not compression))
    ):
        return -1
    width = 0 if size < 126 else 2 if size == 126 else 8
    if width:
        if here < 2 + width:
            return 0
        size = int.from_bytes(data[position + 2 : position + 2 + width], "big")
        if size < 126 or (width == 8 and (size < 65536 or size >= 1 << 63)):
            return -1
    header_size = 2 + width + (4 if masked else 0)
    return header_size if here >= header_size else 0


def payload_size(data: bytes, position: int) -> int:
    """Return the size in bytes of the payload that the valid header at ``position`` announces."""
    size = data[position + 1] & 0x7F
    if size < 126:
        return size
    return int.from_bytes(data[position + 2 : position + (4 if size == 126 else 10)], "big")
