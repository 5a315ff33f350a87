"""Buffers as values: how far a websocket reads ahead, and what happens where that is not far enough."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from polysocket.errors import InvalidRequest

__all__ = ["Buffer"]

DEFAULT_MAX_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Buffer:
    """A bound in data frames and in bytes of payload for what was received and nobody took yet.

    Make it by :meth:`unbounded` or :meth:`bounded`. While a websocket reads ahead, Pings are answered as they are read,
    and only data frames and the Close are buffered.
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
        """Keep whatever comes; memory is bounded by nothing but the other side's kindness."""
        return cls(None, None, "wait")

    @classmethod
    def bounded(
        cls,
        frames: int,
        *,
        overflow: Literal["fail", "wait"] = "fail",
        max_bytes: int | None = DEFAULT_MAX_BYTES,
    ) -> Buffer:
        """Keep at most so many data frames, and so many bytes of them.

        Behind the last one, ``"fail"`` ends the websocket with :class:`BufferFull` (as in sttp; what is buffered can
        still be received), and ``"wait"`` reads no further, so that TCP holds the other side back: until a frame is
        taken, no Ping behind it is answered, no Pong seen, and no Close.
        """
        return cls(frames, max_bytes, overflow)
