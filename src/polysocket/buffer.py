"""Buffers as values: how far a websocket reads ahead, and what happens when its buffer is full."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from polysocket.errors import InvalidRequest

__all__ = ["Buffer"]

DEFAULT_MAX_BYTES = 16 * 1024 * 1024
"""The bytes that a bounded buffer holds by default: 16 of the largest messages that are accepted by default."""


@dataclass(frozen=True, slots=True)
class Buffer:
    """A bound for the received data frames that no caller has taken yet, in frames and in bytes of payload.

    Make it with :meth:`unbounded` or :meth:`bounded`. While a websocket reads ahead, Pings are answered as they are
    read, and only data frames and the Close are buffered.
    """

    frames: int | None
    max_bytes: int | None
    overflow: Literal["fail", "wait"]

    def __post_init__(self) -> None:
        for name, bound in (("frames", self.frames), ("max_bytes", self.max_bytes)):
            if bound is not None and type(bound) is not int:
                raise InvalidRequest(f"a buffer's bound is a whole number, not {name}={bound!r}")
            if bound is not None and bound < 1:
                raise InvalidRequest(f"a buffer's bound must be at least 1, not {name}={bound!r}")
        if self.frames is None and self.max_bytes is not None:
            raise InvalidRequest(
                "a buffer with a bound in bytes has one in frames too: Buffer.bounded(frames, max_bytes=…)"
            )
        if self.overflow not in ("fail", "wait"):
            raise InvalidRequest(f"overflow is 'fail' or 'wait', not {self.overflow!r}")

    @classmethod
    def unbounded(cls) -> Buffer:
        """Buffer every frame. The peer can then fill the memory."""
        return cls(None, None, "wait")

    @classmethod
    def bounded(
        cls,
        frames: int,
        *,
        overflow: Literal["fail", "wait"] = "fail",
        max_bytes: int | None = DEFAULT_MAX_BYTES,
    ) -> Buffer:
        """Buffer at most ``frames`` data frames with at most ``max_bytes`` bytes of payload.

        When the buffer is full, ``"fail"`` ends the websocket with :class:`BufferFull`, as in sttp; the buffered
        frames can still be received. ``"wait"`` reads no further, so that TCP slows the peer down. Until a frame is
        taken, later Pings are not answered, and a later Pong or Close is not seen.
        """
        return cls(frames, max_bytes, overflow)
