"""The parts of the opening handshake (RFC 6455 §4) that client and server share."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass

from polysocket._core.deflate import PerMessageDeflate
from polysocket._core.header_fields import Fields, shown
from polysocket.response import Response

__all__ = ["Upgraded", "accept_value", "lacking"]

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 §1.3


@dataclass(frozen=True, slots=True)
class Upgraded:
    """A finished handshake: its 101, the agreed extension, and the bytes that followed the handshake."""

    response: Response
    deflate: PerMessageDeflate | None
    trailing: bytes


def accept_value(key: str) -> str:
    """Return the ``Sec-WebSocket-Accept`` for a ``Sec-WebSocket-Key`` (RFC 6455 §4.2.2)."""
    digest = hashlib.sha1(key.encode("ascii") + _GUID, usedforsecurity=False).digest()
    return base64.b64encode(digest).decode("ascii")


def lacking(message: str, fields: Fields, name: str, due: str) -> str:
    """Return the error's text for a message without a field that it must have."""
    values = fields.get(name.lower())
    return f"{message} must have {name}: {due}, but has {'none' if values is None else shown(', '.join(values))}"
