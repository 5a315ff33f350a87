"""Elect one waiting caller to read from the stream on behalf of all.

The others are woken each time the reader has read, and one of them goes on when the reader stops. So a receive, a ping
and a close may wait at the same time, and each may be cancelled at any point.
"""

from __future__ import annotations

from polysocket.effects import Effect, Event

__all__ = ["Reader", "wake"]


class Reader:
    """The role of the caller that reads, and the callers that wait meanwhile; guarded by the session's mutex."""

    def __init__(self, effect: Effect) -> None:
        self.is_reading = False
        self.waiting: list[Event] = []
        self._effect = effect

    def wait_turn(self) -> Event:
        """Return an event for a caller that waits until another has read, or until the queue has room."""
        event = self._effect.event()
        self.waiting.append(event)
        return event

    def forget(self, event: Event) -> None:
        """Drop the event of a caller that waits no longer."""
        if event in self.waiting:
            self.waiting.remove(event)


def wake(waiting: list[Event]) -> None:
    """Set the events of callers that wait, each once."""
    for event in waiting:
        event.set()
    waiting.clear()
