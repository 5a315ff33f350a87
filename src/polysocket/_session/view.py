"""A read-only view of a session, for tests that check its bounds."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SessionView"]


@dataclass(frozen=True, slots=True)
class SessionView:
    """The state inside a session at one moment."""

    queued_frames: int
    """Frames that were received and not taken."""
    waiting_readers: int
    """Callers that wait while another one reads from the stream on behalf of all."""
    waiting_senders: int
    """Callers that wait for the end of another caller's fragmented message."""
    pending_bytes: int
    """Bytes that wait for the network."""
