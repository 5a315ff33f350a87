"""How a websocket ended, as a value."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from polysocket.frames import Close, CloseCode

__all__ = ["CloseCause", "CloseInfo", "Side"]


class Side(Enum):
    """The side that initiated the closing."""

    LOCAL = "this side"
    REMOTE = "the peer"


class CloseCause(Enum):
    """The cause of a closing."""

    CLOSE = "a Close frame"
    PROTOCOL_ERROR = "a protocol error of the peer"
    LIMIT = "a limit"
    BUFFER_FULL = "a full buffer"
    TIMEOUT = "a time limit"
    NETWORK = "the network"
    CANCELLATION = "a cancellation"
    KEEPALIVE = "keepalive"


@dataclass(frozen=True, slots=True)
class CloseInfo:
    """The end of a websocket: its initiator, the Close of each side, and its cause.

    ``code`` is *the WebSocket connection close code* of RFC 6455 §7.1.5: the code of the received Close, 1005 if that
    had none, 1006 if no Close was received.
    """

    initiator: Side
    cause: CloseCause
    received: Close | None = None
    sent: Close | None = None
    detail: str = ""

    @property
    def code(self) -> int:
        """The code of the received Close, 1006 without one."""
        return CloseCode.ABNORMAL_CLOSURE if self.received is None else self.received.code

    @property
    def reason(self) -> str:
        """The reason of the received Close."""
        return "" if self.received is None else self.received.reason

    @property
    def is_normal(self) -> bool:
        """Whether a Close was received with code 1000 or 1001, or without a code."""
        return self.received is not None and self.received.code in _NORMAL

    def __str__(self) -> str:
        """Return one line for a log: the initiator, the cause and both Closes."""
        text = f"closed by {self.initiator.value}"
        if self.cause is not CloseCause.CLOSE:
            text += f" because of {self.cause.value}"
        if self.detail:
            text += f" ({self.detail})"
        received = "no Close received" if self.received is None else f"received {self.received}"
        # A side that fails the connection sends the detail as the reason, cut to 123 bytes: it isn't shown twice.
        is_shown = self.sent is not None and self.detail.startswith(self.sent.reason)
        sent = "none sent" if self.sent is None else f"sent {Close(self.sent.code) if is_shown else self.sent}"
        return f"{text}; {received}, {sent}"


_NORMAL = (CloseCode.NORMAL_CLOSURE, CloseCode.GOING_AWAY, CloseCode.NO_STATUS_RECEIVED)
