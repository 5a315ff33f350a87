"""The Pings that wait for their Pongs, in the order in which they were sent; guarded by the session's mutex."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["PendingPing", "Pings"]


class PendingPing:
    """A Ping that was sent, or is about to be; ``seconds`` is the round-trip time once its Pong has arrived."""

    def __init__(self, payload: bytes, now: float) -> None:
        self.payload = payload
        self.sent_at = now
        self.seconds: float | None = None


class Pings:
    """The Pings that wait for their Pongs; False if there are none."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._pending: list[PendingPing] = []

    def __bool__(self) -> bool:
        return bool(self._pending)

    def start(self, payload: bytes) -> PendingPing:
        """Wait for the Pong with this payload."""
        ping = PendingPing(payload, self._now())
        self._pending.append(ping)
        return ping

    def forget(self, ping: PendingPing) -> None:
        """Wait no longer for a Pong."""
        if ping in self._pending:
            self._pending.remove(ping)

    def match_pong(self, payload: bytes) -> None:
        """Match a Pong; it answers the earlier Pings, too, since a peer may answer only the latest one (§5.5.3)."""
        for position, ping in enumerate(self._pending):
            if ping.payload == payload:
                now = self._now()
                for answered in self._pending[: position + 1]:
                    answered.seconds = now - answered.sent_at
                del self._pending[: position + 1]
                return
