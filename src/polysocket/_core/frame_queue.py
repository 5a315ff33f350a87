"""The queue of received frames that no caller has taken yet, bounded in frames and in bytes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

from polysocket.frames import Binary, Close, DataFrame, Frame, Ping, Pong, Text

__all__ = ["FRAME_COST", "QUEUE_CAPACITY", "UNLIMITED", "FrameQueue"]

UNLIMITED: Final = 2**63 - 1  # RFC 6455 §5.2: no payload is longer
FRAME_COST: Final = 128  # bytes that CPython needs for a frame besides its payload, so that empty frames count too
QUEUE_CAPACITY: Final = 1024 * 1024  # bytes: the default max_message_size, so that one largest message fits

ALL_KINDS: Final = frozenset((Text, Binary, Ping, Pong, Close))
DATA_AND_CLOSE: Final = frozenset((Text, Binary, Close))
ONLY_CLOSE: Final = frozenset((Close,))


class FrameQueue:
    """Received frames in their order, and the fragments of the message that a caller is receiving.

    While ``is_full``, received bytes wait undecoded, so that TCP's flow control slows the peer. ``fragments`` don't
    count: a message may be larger than the queue, and its size has a limit of its own.
    """

    __slots__ = (
        "_frame_cost",
        "_is_released",
        "_kept",
        "_sizes",
        "fragments",
        "frames",
        "is_full",
        "max_frames",
        "max_size",
        "size",
    )

    def __init__(self) -> None:
        self.frames: deque[Frame | Close] = deque()
        self.fragments: deque[DataFrame] = deque()
        self.size: int = 0  # bytes of the payloads in ``frames``, with the cost of each frame
        self.max_frames: int = UNLIMITED
        self.max_size: int = QUEUE_CAPACITY
        self.is_full: bool = False
        self._is_released = False
        self._sizes: deque[int] = deque()  # beside ``frames``: measuring a text again would encode it again
        self._frame_cost = FRAME_COST
        self._kept: frozenset[type[Frame | Close]] = ALL_KINDS

    def extend(self, frames: Iterable[Frame | Close]) -> None:
        """Append received frames, except those of a kind that is not kept."""
        for frame in frames:
            if type(frame) in self._kept:
                self.frames.append(frame)
                if isinstance(frame, Close):
                    size = 0
                elif isinstance(frame, Text) and not frame.payload.isascii():
                    size = len(frame.payload.encode()) + self._frame_cost
                else:
                    size = len(frame.payload) + self._frame_cost
                self._sizes.append(size)
                self.size += size
        self.is_full = (len(self.frames) >= self.max_frames or self.size >= self.max_size) and bool(self.frames)

    def pop(self) -> Frame | Close:
        """Take the next frame of ``frames``, which must not be empty."""
        frame = self.frames.popleft()
        self.size -= self._sizes.popleft()
        if self.is_full:
            self.is_full = (len(self.frames) >= self.max_frames or self.size >= self.max_size) and bool(self.frames)
        return frame

    def clear(self) -> None:
        """Drop all frames, those of an unfinished message too."""
        self.frames, self.fragments, self._sizes, self.size = deque(), deque(), deque(), 0
        self.is_full = False

    def limit(self, frames: int | None, size: int | None, frame_cost: int = FRAME_COST) -> None:
        """Bound the queue in frames and in bytes; each frame counts ``frame_cost`` bytes besides its payload."""
        if self._is_released:
            return
        self.max_frames = UNLIMITED if frames is None else frames
        self.max_size = UNLIMITED if size is None else size
        self._frame_cost = frame_cost
        self._requeue()

    def _requeue(self) -> None:
        """Measure and filter the queued frames anew."""
        queued, self.frames, self._sizes, self.size = self.frames, deque(), deque(), 0
        self.extend(queued)

    def keep_no_control_frames(self) -> None:
        """Drop Pings and Pongs, those that are queued too: they are answered as they arrive."""
        self._kept = DATA_AND_CLOSE
        self._requeue()

    def keep_only_close(self) -> None:
        """Drop every frame that arrives from now on, except the Close."""
        self._kept = ONLY_CLOSE
        self.release()

    def release(self) -> None:
        """Bound the queue no longer, whatever is said later."""
        self._is_released = True
        self.max_frames = self.max_size = UNLIMITED
        self.is_full = False

    def cut(self, frames: int | None, size: int | None) -> None:
        """Drop the newest frames until the rest is within the bounds."""
        while self.frames and (
            (frames is not None and len(self.frames) > frames) or (size is not None and self.size > size)
        ):
            self.frames.pop()
            self.size -= self._sizes.pop()
