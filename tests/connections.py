"""The core as tests drive it: a connection that collects what it sends, and single frames as they are encoded."""

from __future__ import annotations

from unittest import mock

from polysocket._core import connection
from polysocket._core.encoder import Encoder
from polysocket.frames import Close, Frame

__all__ = ["Connection", "encoded"]


class Connection(connection.Connection):
    """A connection that takes all turns at once, and whose :meth:`data_to_send` returns sent frames, too."""

    _sent = b""

    def send(self, frame: Frame | Close, is_continuation: bool = False) -> bytes:
        own = super().data_to_send()
        data = super().send(frame, is_continuation)
        self._sent += own + data
        return data

    def receive(self, data: bytes) -> list[Frame | Close]:
        frames = super().receive(data)
        while self.holds_bytes and not self.queue.is_full:  # They wait for the next turn only.
            frames += super().receive(b"")
        return frames

    def data_to_send(self) -> bytes:
        data, self._sent = self._sent + super().data_to_send(), b""
        return data


def encoded(opcode: int, payload: bytes, key: bytes) -> bytes:
    """Return a whole frame as the encoder writes it, masked with ``key`` unless that is empty."""
    with mock.patch("polysocket._core.encoder.os.urandom", return_value=key):
        return Encoder(masks=bool(key), deflate=None).encode(opcode, payload)
