"""The Pings that wait for their Pongs, in the order in which they were sent; guarded by the session's mutex."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["PendingPing", "Pings"]


class PendingPing:
    """A Ping that was sent, or is about to be; ``seconds`` is the round-trip time once its Pong has arrived."""

    def __init__(self, payload: bytes) -> None:
        self.payload: bytes = payload
        self.sent_at: float = 0.0
        self.seconds: float | None = None
        self.is_sent: bool = False
        self.is_delayed: bool = False


class Pings:
    """The Pings that wait for their Pongs."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.latency: float | None = None
        """The round-trip time that was measured last, in seconds."""
        self._now = now
        self._pending: list[PendingPing] = []

    def start(self, ping: PendingPing, is_delayed: bool) -> None:
        """Wait for the Pong to a Ping that the stream has just taken; ``is_delayed`` if the network has not."""
        ping.sent_at, ping.is_sent, ping.is_delayed = self._now(), True, is_delayed
        self._pending.append(ping)

    def restart(self, ping: PendingPing) -> None:
        """Start the clock of a delayed Ping anew, now that the network has taken it."""
        ping.sent_at = self._now()

    def forget(self, ping: PendingPing) -> None:
        """Wait no longer for a Pong."""
        if ping in self._pending:
            self._pending.remove(ping)

    def match_pong(self, payload: bytes) -> bool:
        """Match a Pong, and return whether it answers a Ping that waits.

        It answers the earlier Pings, too, since a peer may answer only the latest one (§5.5.3).
        """
        for position, ping in enumerate(self._pending):
            if ping.payload == payload:
                now = self._now()
                self.latency = now - ping.sent_at
                for answered in self._pending[: position + 1]:
                    answered.seconds = now - answered.sent_at
                del self._pending[: position + 1]
                return True
        return False
