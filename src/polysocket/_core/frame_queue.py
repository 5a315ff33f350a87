"""The queue of received frames that no caller has taken yet, bounded in frames and in bytes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final

from polysocket._core.pieces import Fragments, PackedText, packed
from polysocket.frames import Binary, Close, Frame, Ping, Pong, Text

__all__ = ["FRAME_COST", "MAX_OVERHEAD", "QUEUE_CAPACITY", "UNLIMITED", "FrameQueue"]

UNLIMITED: Final = 2**63 - 1  # RFC 6455 §5.2: no payload is longer
FRAME_COST: Final = 128  # bytes that CPython needs for a frame besides its payload, so that empty frames count too
QUEUE_CAPACITY: Final = 1024 * 1024  # bytes: the default max_message_size, so that one largest message fits

# Bytes that frames smaller than FRAME_COST take beyond twice their payload, so that a peer that sends tiny frames makes
# this side hold no more than this besides what it sends: the rest waits undecoded. Room for 1,024 empty frames.
MAX_OVERHEAD: Final = 128 * 1024
SMALL: Final = 2 * FRAME_COST  # as counted in the queue: a frame with a payload of less than its cost
UNPACKED: Final = 16 * 1024  # bytes in the queue from which a wide text is packed: small streams are spared the work

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
        "max_overhead",
        "max_size",
        "overhead",
        "size",
    )

    def __init__(self) -> None:
        self.frames: deque[Frame | Close] = deque()
        self.fragments: Fragments = Fragments()
        self.size: int = 0  # bytes of the payloads in ``frames``, with the cost of each frame
        self.max_frames: int = UNLIMITED
        self.max_size: int = QUEUE_CAPACITY
        self.overhead: int = 0  # bytes that small frames in ``frames`` take beyond twice their payload
        self.max_overhead: int = MAX_OVERHEAD
        self.is_full: bool = False
        self._is_released = False
        self._sizes: deque[int] = deque()  # beside ``frames``: measuring a text again would encode it again
        self._frame_cost = FRAME_COST
        self._kept: frozenset[type[Frame | Close]] = ALL_KINDS

    def extend(self, frames: Iterable[Frame | Close]) -> None:
        """Append received frames, except those of a kind that is not kept."""
        for frame in frames:
            if type(frame) in self._kept:
                if isinstance(frame, Close):
                    size = 0
                elif isinstance(frame, Text) and not frame.payload.isascii():
                    utf8 = frame.payload.encode()
                    size = len(utf8) + self._frame_cost
                    if self.size + size > UNPACKED:
                        frame = packed(frame, utf8)  # noqa: PLW2901 - the queue's form of the frame
                else:
                    size = len(frame.payload) + self._frame_cost
                self.frames.append(frame)
                self._sizes.append(size)
                self.size += size
                if size < SMALL:
                    self.overhead += SMALL - size
        # Written out, to spare each receive that waits a call.
        self.is_full = bool(self.frames) and (
            len(self.frames) >= self.max_frames or self.size >= self.max_size or self.overhead >= self.max_overhead
        )

    def _has_no_room(self) -> bool:
        return bool(self.frames) and (
            len(self.frames) >= self.max_frames or self.size >= self.max_size or self.overhead >= self.max_overhead
        )

    def __iter__(self) -> Iterator[Frame | Close]:
        """Return the frames that wait, as callers see them."""
        return (frame.unpacked() if isinstance(frame, PackedText) else frame for frame in self.frames)

    def pop(self) -> Frame | Close:
        """Take the next frame of ``frames``, which must not be empty."""
        frame = self.frames.popleft()
        size = self._sizes.popleft()
        self.size -= size
        if size < SMALL:
            self.overhead -= SMALL - size
        if self.is_full:
            self.is_full = self._has_no_room()
        return frame if type(frame) is not PackedText else frame.unpacked()

    def clear(self) -> None:
        """Drop all frames, those of an unfinished message too."""
        self.frames, self._sizes, self.size, self.overhead = deque(), deque(), 0, 0
        self.fragments = Fragments()
        self.is_full = False

    def limit(self, frames: int | None, size: int | None, frame_cost: int = FRAME_COST) -> None:
        """Bound the queue in frames and in bytes; each frame counts ``frame_cost`` bytes besides its payload.

        The bound of a user replaces that of the frames' overhead.
        """
        if self._is_released:
            return
        self.max_frames = UNLIMITED if frames is None else frames
        self.max_size = UNLIMITED if size is None else size
        self.max_overhead = UNLIMITED
        self._frame_cost = frame_cost
        self._requeue()

    def _requeue(self) -> None:
        """Measure and filter the queued frames anew."""
        queued = list(self)
        self.frames, self._sizes, self.size, self.overhead = deque(), deque(), 0, 0
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
        self.max_frames = self.max_size = self.max_overhead = UNLIMITED
        self.is_full = False

    def discard(self, frame: Frame) -> None:
        """Drop a frame that waits; nothing happens if it does not, which another of the same value may."""
        for position in range(len(self.frames) - 1, -1, -1):
            if self.frames[position] is frame:
                self._drop(position)
                return

    def keep_latest_control_frames(self, most: int) -> None:
        """Drop Pings and Pongs that wait, but the latest ones."""
        waiting = [position for position, frame in enumerate(self.frames) if isinstance(frame, Ping | Pong)]
        for position in reversed(waiting[: max(len(waiting) - most, 0)]):
            self._drop(position)

    def _drop(self, position: int) -> None:
        del self.frames[position]
        size = self._sizes[position]
        del self._sizes[position]
        self.size -= size
        self.overhead -= max(SMALL - size, 0)
        self.is_full = self._has_no_room()

    def cut(self, frames: int | None, size: int | None) -> None:
        """Drop the newest frames until the rest is within the bounds."""
        while self.frames and (
            (frames is not None and len(self.frames) > frames) or (size is not None and self.size > size)
        ):
            self.frames.pop()
            dropped = self._sizes.pop()
            self.size -= dropped
            self.overhead -= max(SMALL - dropped, 0)
