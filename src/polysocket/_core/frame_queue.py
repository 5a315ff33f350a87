"""The queue of received frames that no caller has taken yet, bounded in frames and in bytes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, overload

from polysocket._core.fast_path import UNLIMITED
from polysocket._core.received import (
    FRAGMENT,
    PART,
    SIZE,
    UNPACKED,
    WHOLE,
    Fragments,
    PackedText,
    Received,
    frame_of,
    is_wide,
    joined,
)
from polysocket.frames import Binary, Close, Frame, Ping, Pong, Text

__all__ = ["FRAME_COST", "MAX_OVERHEAD", "QUEUE_CAPACITY", "FrameQueue"]

FRAME_COST: Final = 128  # bytes that CPython needs for a frame besides its payload, so that empty frames count too
QUEUE_CAPACITY: Final = 1024 * 1024  # bytes: the default max_message_size, so that one largest message fits

# Bytes that frames smaller than FRAME_COST take beyond twice their payload, so that a peer that sends tiny frames makes
# this side hold no more than this besides what it sends: the rest waits undecoded. Room for 1,024 empty frames.
MAX_OVERHEAD: Final = 128 * 1024
SMALL: Final = 2 * FRAME_COST  # as counted in the queue: a frame with a payload of less than its cost

Kinds = type[Text] | type[Binary] | tuple[type[Text | Binary], ...]

ALL_KINDS: Final = frozenset((bytes, str, PackedText, Ping, Pong, Close))
DATA_AND_CLOSE: Final = ALL_KINDS - {Ping, Pong}
ONLY_CLOSE: Final = frozenset((Close,))
TAKEN: Final = b""  # stands for a frame that was taken


class FrameQueue:
    """Received frames in their order, and the fragments of the message that a caller is receiving.

    While ``is_full``, received bytes wait undecoded, so that TCP's flow control slows the peer. ``fragments`` don't
    count: a message may be larger than the queue, and its size has a limit of its own.
    """

    __slots__ = (
        "_frame_cost",
        "_frames",
        "_head",
        "_is_released",
        "_kept",
        "_marks",
        "count",
        "fragments",
        "is_full",
        "max_frames",
        "max_overhead",
        "max_size",
        "overhead",
        "size",
    )

    def __init__(self) -> None:
        self.fragments: Fragments | None = None
        """Those of the message that a caller is receiving, if any have arrived."""
        self.count: int = 0
        """The number of frames that wait."""
        self.size: int = 0
        """Bytes of the payloads that wait, with the cost of each frame."""
        self.max_frames: int = UNLIMITED
        self.max_size: int = QUEUE_CAPACITY
        self.overhead: int = 0
        """Bytes that small frames take beyond twice their payload."""
        self.max_overhead: int = MAX_OVERHEAD
        self.is_full: bool = False
        self._is_released = False
        # A list whose first frames were taken: its items are reached faster than those of a deque.
        self._frames: list[Received] = []
        self._marks: list[int] = []  # beside the frames: measuring a text again would encode it again
        self._head = 0  # the position of the next frame
        self._frame_cost = FRAME_COST
        self._kept: frozenset[type[Received]] = ALL_KINDS

    @property
    def first(self) -> Frame | Close:
        """The next frame."""
        return frame_of(self._frames[self._head], self._marks[self._head])

    def __iter__(self) -> Iterator[Frame | Close]:
        """Return the frames that wait, as callers see them."""
        waiting = zip(self._frames[self._head :], self._marks[self._head :], strict=True)
        return iter([frame_of(received, mark) for received, mark in waiting])

    def extend(self, frames: list[Received], marks: list[int]) -> None:
        """Append received frames and their marks, except those of a kind that is not kept.

        The lists may become the queue's own.
        """
        if self._kept is not ALL_KINDS:
            kept = [index for index, received in enumerate(frames) if type(received) in self._kept]
            frames, marks = [frames[index] for index in kept], [marks[index] for index in kept]
        cost, queued, overhead = self._frame_cost, self.size, self.overhead
        for index, mark in enumerate(marks):
            size = (mark >> SIZE) + cost
            queued += size
            if size < SMALL:
                overhead += SMALL - size
            if queued > UNPACKED:
                received = frames[index]
                # A text in ASCII has a byte for each character.
                if isinstance(received, str) and len(received) != mark >> SIZE and is_wide(received, mark >> SIZE):
                    frames[index] = PackedText(received.encode())
        self.size, self.overhead = queued, overhead
        if self.count:
            if self._head > len(self._frames) // 2:
                del self._frames[: self._head]
                del self._marks[: self._head]
                self._head = 0
            self._frames.extend(frames)
            self._marks.extend(marks)
        else:
            self._frames, self._marks, self._head = frames, marks, 0
        self.count = count = self.count + len(frames)
        # As in _has_no_room(), written out, to spare each read a call.
        is_full = count >= self.max_frames or queued >= self.max_size or overhead >= self.max_overhead
        self.is_full = is_full and count > 0

    def _has_no_room(self) -> bool:
        count = self.count
        return count > 0 and (
            count >= self.max_frames or self.size >= self.max_size or self.overhead >= self.max_overhead
        )

    @overload
    def take(self) -> Frame | Close | None: ...

    @overload
    def take(self, kinds: Kinds) -> str | bytes | None: ...

    def take(  # noqa: C901, PLR0911, PLR0912 - one function, so that a message costs no further call
        self, kinds: Kinds | None = None
    ) -> Frame | Close | str | bytes | None:
        """Take the next frame; or the payload of the next message, if it is of one of the kinds, and all of it is here.

        Fragments of such a message that come next are moved to ``fragments``. None if there is no such frame or
        message, or if another frame comes before it.
        """
        if not self.count:
            return None
        head, last = self._head, self._head + self.count
        received, mark = self._frames[head], self._marks[head]
        size = (mark >> SIZE) + self._frame_cost
        overhead = SMALL - size if size < SMALL else 0
        end = head + 1
        fragments: list[Received] | None = None  # of a message that has arrived as a whole
        if kinds is not None:
            # Compiled, isinstance(received, kinds) would take longer than all of the rest.
            if isinstance(received, bytes):
                if kinds is Text:
                    return None
            elif kinds is Binary or isinstance(received, (Ping, Pong, Close)):
                return None
            if mark & PART != WHOLE:
                while mark & PART == FRAGMENT and end < last and self._marks[end] & PART != WHOLE:
                    mark = self._marks[end]
                    frame_size = (mark >> SIZE) + self._frame_cost
                    size += frame_size
                    if frame_size < SMALL:
                        overhead += SMALL - frame_size
                    end += 1
                if self.fragments or mark & PART == FRAGMENT:
                    self._keep_fragments(head, end)
                else:
                    fragments = self._frames[head:end]
        self._head = end
        self.count -= end - head
        self.size -= size
        self.overhead -= overhead
        if not self.count:
            self._frames.clear()
            self._marks.clear()
            self._head = 0
            self.is_full = False
        else:
            for position in range(head, end):
                self._frames[position] = TAKEN
            if self.is_full:
                self.is_full = self._has_no_room()
        if kinds is None or isinstance(received, (Ping, Pong, Close)):
            return frame_of(received, mark)
        if fragments is not None:
            return joined(fragments)
        if mark & PART == WHOLE:
            return received.utf8.decode() if isinstance(received, PackedText) else received
        return None if mark & PART == FRAGMENT or self.fragments is None else self.fragments.join()

    def _keep_fragments(self, head: int, end: int) -> None:
        """Add the frames at these positions to ``fragments``, until the rest of their message is taken, too."""
        if self.fragments is None:
            self.fragments = Fragments()
        for position in range(head, end):
            self.fragments.add(self._frames[position])

    def take_messages(self, most: int) -> list[str | bytes]:
        """Take the payloads of the messages in one frame that come next, at most ``most``.

        Stop before any other frame, such as a fragment.
        """
        messages: list[str | bytes] = []
        size = overhead = 0
        head = self._head
        end = head + min(self.count, most)
        while head < end:
            received, mark = self._frames[head], self._marks[head]
            if mark & PART != WHOLE:
                break
            if isinstance(received, (bytes, str)):
                messages.append(received)
            elif isinstance(received, PackedText):
                messages.append(received.utf8.decode())
            else:
                break
            frame_size = (mark >> SIZE) + self._frame_cost
            size += frame_size
            if frame_size < SMALL:
                overhead += SMALL - frame_size
            head += 1
        self.count -= len(messages)
        self.size -= size
        self.overhead -= overhead
        if not self.count:
            self._frames.clear()
            self._marks.clear()
            self._head = 0
            self.is_full = False
        elif messages:
            self._frames[self._head : head] = [TAKEN] * len(messages)
            self._head = head
            if self.is_full:
                self.is_full = self._has_no_room()
        return messages

    def clear(self) -> None:
        """Drop all frames, those of an unfinished message too."""
        self._empty()
        self.fragments = None
        self.is_full = False

    def _empty(self) -> None:
        self._frames, self._marks, self._head, self.count, self.size, self.overhead = [], [], 0, 0, 0, 0

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
        frames, marks = self._frames[self._head :], self._marks[self._head :]
        self._empty()
        self.extend(frames, marks)

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
        """Drop this very frame, if it waits; another of the same value stays."""
        for position in range(len(self._frames) - 1, self._head - 1, -1):
            if self._frames[position] is frame:
                self._drop(position)
                return

    def keep_latest_control_frames(self, most: int) -> None:
        """Drop Pings and Pongs that wait, but the latest ones."""
        positions = range(self._head, len(self._frames))
        waiting = [position for position in positions if isinstance(self._frames[position], Ping | Pong)]
        for position in reversed(waiting[: max(len(waiting) - most, 0)]):
            self._drop(position)

    def cut(self, frames: int | None, size: int | None) -> None:
        """Drop the newest frames until the rest is within the bounds."""
        while self.count and ((frames is not None and self.count > frames) or (size is not None and self.size > size)):
            self._drop(len(self._frames) - 1)

    def _drop(self, position: int) -> None:
        del self._frames[position]
        size = (self._marks.pop(position) >> SIZE) + self._frame_cost
        self.count -= 1
        self.size -= size
        self.overhead -= max(SMALL - size, 0)
        self.is_full = self._has_no_room()
