"""The Pings that wait for their Pongs, in the order in which they were sent; the session guards them."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["PendingPing", "Pings"]


class PendingPing:
    """A Ping that was sent, or is about to be; ``seconds`` is its round trip's time once it is answered."""

    def __init__(self, payload: bytes, now: float) -> None:
        self.payload = payload
        self.sent = now
        self.seconds: float | None = None


class Pings:
    """Matches Pongs with Pings; false while there is none."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._pending: list[PendingPing] = []

    def __bool__(self) -> bool:
        return bool(self._pending)

    def begin(self, payload: bytes) -> PendingPing:
        """Wait for the Pong with this payload."""
        ping = PendingPing(payload, self._now())
        self._pending.append(ping)
        return ping

    def forget(self, ping: PendingPing) -> None:
        """Wait no longer."""
        if ping in self._pending:
            self._pending.remove(ping)

    def answer(self, payload: bytes) -> None:
        """Take a Pong: it may answer only the latest of several Pings, and so answers the earlier ones (§5.5.3)."""
        for position, ping in enumerate(self._pending):
            if ping.payload == payload:
                now = self._now()
                for answered in self._pending[: position + 1]:
                    answered.seconds = now - answered.sent
                del self._pending[: position + 1]
                return
