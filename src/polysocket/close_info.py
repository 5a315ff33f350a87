"""How a websocket ended, as a value."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from polysocket.frames import Close, CloseCode

if TYPE_CHECKING:
    pass

__all__ = ["CloseCause", "CloseInfo", "Side"]


class Side(Enum):
    """Who began the closing."""

    LOCAL = "this side"
    REMOTE = "the other side"


class CloseCause(Enum):
    """What imposed a closing."""

    CLOSE = "a Close frame"
    PROTOCOL_ERROR = "a protocol error of the other side"
    LIMIT = "a limit"
    BUFFER_FULL = "a full buffer"
    TIMEOUT = "a time limit"
    NETWORK = "the network"
    CANCELLATION = "a cancelled closing"


@dataclass(frozen=True, slots=True)
class CloseInfo:
    """How a websocket ended: who began it, what each side said, and what imposed it.

    ``code`` is *the WebSocket connection close code* of RFC 6455 §7.1.5: that of the Close received; 1005 where it had
    none, 1006 where no Close came.
    """

    initiator: Side
    cause: CloseCause
    received: Close | None = None
    sent: Close | None = None
    detail: str = ""

    @property
    def code(self) -> int:
        """The code of the Close received, 1006 without one."""
        return CloseCode.ABNORMAL_CLOSURE if self.received is None else self.received.code

    @property
    def reason(self) -> str:
        """The reason in the Close received."""
        return "" if self.received is None else self.received.reason

    @property
    def is_normal(self) -> bool:
        """Whether a Close came that names no trouble: 1000, 1001 or no code."""
        return self.received is not None and self.received.code in _NORMAL

    def __str__(self) -> str:
        """One line for a log: who, why, and both Closes."""
        text = f"closed by {self.initiator.value}"
        if self.cause is not CloseCause.CLOSE:
            text += f" because of {self.cause.value}"
        if self.detail:
            text += f" ({self.detail})"
        received = "no Close received" if self.received is None else f"received {self.received}"
        # The reason that a failing side sends is the detail, as far as there is room for it.
        told = self.sent is not None and self.detail.startswith(self.sent.reason)
        sent = "none sent" if self.sent is None else f"sent {Close(self.sent.code) if told else self.sent}"
        return f"{text}; {received}, {sent}"


_NORMAL = (CloseCode.NORMAL_CLOSURE, CloseCode.GOING_AWAY, CloseCode.NO_STATUS_RECEIVED)
