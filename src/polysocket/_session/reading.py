"""Elect one waiting caller to read from the stream on behalf of all.

The others are woken each time the reader has read, and one of them goes on when the reader stops. So a receive, a ping
and a close may wait at the same time, and each may be cancelled at any point.
"""

from __future__ import annotations

from polysocket.effects import ByteStream, Event

__all__ = ["Reader", "may_be_torn", "wake"]


class Reader:
    """The role of the caller that reads, and the callers that wait meanwhile; guarded by the session's mutex."""

    def __init__(self) -> None:
        self.thread: int = 0
        """The thread of the caller that reads; 0 while none does. One value: it is read without the mutex, too."""
        self.turn: int = 0
        """How often a caller has read: a caller that finds nothing and then waits notices a read in between."""
        self.reads: int = 0
        """How often bytes were read."""
        self.waiting: list[Event] = []


def wake(waiting: list[Event]) -> None:
    """Set the events of callers that wait, each once."""
    for event in waiting:
        event.set()
    waiting.clear()


def may_be_torn(stream: ByteStream) -> bool:
    """Return True if a read that was interrupted now may have lost bytes, or sent a part of what was pending."""
    return bool(getattr(stream, "has_taken", False) or getattr(stream, "is_torn", False))
