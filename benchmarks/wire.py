"""The bytes of a server and of a client without a library: frames and the two sides of the opening handshake."""

from __future__ import annotations

import base64
import hashlib
import re
import zlib

from benchmarks.cells import Cell

__all__ = [
    "CLOSE",
    "FIN",
    "FLUSHED",
    "MASK",
    "RSV1",
    "accept",
    "client_frame",
    "deflated",
    "frame",
    "request",
    "server_frames",
]

FIN, RSV1, MASKED = 0x80, 0x40, 0x80  # bits, RFC 6455 §5.2 and RFC 7692 §6
CONTINUATION, TEXT, BINARY, CLOSE = 0x0, 0x1, 0x2, 0x8  # RFC 6455 §5.2
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 §1.3
DEFLATED = b"permessage-deflate"
MASK = b"\x01\x02\x03\x04"
FLUSHED = b"\x00\x00\xff\xff"  # what a deflated payload leaves out, RFC 7692 §7.2.1


def frame(first: int, payload: bytes = b"", mask: bytes = b"") -> bytes:
    """Return a frame with this first byte; a mask is declared, and the payload is not changed."""
    size, bit = len(payload), MASKED if mask else 0
    if size < 126:
        length = bytes([bit | size])
    elif size < 65536:
        length = bytes([bit | 126]) + size.to_bytes(2, "big")
    else:
        length = bytes([bit | 127]) + size.to_bytes(8, "big")
    return bytes([first]) + length + mask + payload


def deflated(payload: bytes, window_bits: int = 15) -> bytes:
    """Compress a payload so that it needs no earlier one (RFC 7692 §7.2.1)."""
    stream = zlib.compressobj(wbits=-window_bits)
    return stream.compress(payload) + stream.flush(zlib.Z_SYNC_FLUSH).removesuffix(FLUSHED)


def server_frames(cell: Cell, message: bytes, window_bits: int | None = None) -> bytes:
    """Return a message as the server sends it: deflated if window bits were agreed on, in the cell's fragments."""
    rsv1 = 0
    if window_bits is not None:
        message, rsv1 = deflated(message, window_bits), RSV1
    size = -(-len(message) // cell.fragments)
    pieces = [message[start : start + size] for start in range(0, len(message), size)]
    firsts = [rsv1 | (TEXT if cell.text else BINARY), *[CONTINUATION] * (len(pieces) - 1)]
    firsts[-1] |= FIN
    return b"".join(map(frame, firsts, pieces))


def client_frame(cell: Cell, message: bytes, *, deflate: bool = False) -> bytes:
    """Return a message as a client sends it."""
    if deflate:
        message = deflated(message)
    first = FIN | (RSV1 if deflate else 0) | (TEXT if cell.text else BINARY)
    mask = int.from_bytes((MASK * (len(message) // 4 + 1))[: len(message)], "big")
    return frame(first, (int.from_bytes(message, "big") ^ mask).to_bytes(len(message), "big"), MASK)


def accept(head: bytes) -> tuple[bytes, int | None]:
    """Return the answer to a client's opening handshake, and the window bits of the server if it offers deflate."""
    key = re.search(rb"(?i)sec-websocket-key: *(\S+)", head)
    if key is None:
        raise ValueError(f"not an opening handshake: {head!r}")
    window_bits, extension = None, b""
    if DEFLATED in head.lower():
        bits = re.search(rb"(?i)server_max_window_bits=(\d+)", head)
        window_bits = int(bits[1]) if bits else 15
        extension = b"Sec-WebSocket-Extensions: " + DEFLATED + (b"; " + bits[0] if bits else b"") + b"\r\n"
    value = base64.b64encode(hashlib.sha1(key[1] + GUID).digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + value + b"\r\n" + extension + b"\r\n"
    ), window_bits


def request(host: str, path: str, *, deflate: bool) -> bytes:
    """Return a client's opening handshake."""
    extension = b"Sec-WebSocket-Extensions: " + DEFLATED + b"\r\n" if deflate else b""
    return (
        (
            f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
        ).encode()
        + extension
        + b"\r\n"
    )
