"""The states of a connection after its opening handshake, and the table that moves between them (RFC 6455 §7).

No other module says which state follows which. Whatever is not in the table can't happen: :func:`next_state` raises.
"""

from __future__ import annotations

from enum import Enum, auto

__all__ = ["TRANSITIONS", "Event", "State", "next_state"]


class State(Enum):
    """The progress of a connection's closing."""

    OPEN = auto()
    CLOSE_SENT = auto()  # §7.1.3: this side started the closing handshake
    CLOSE_RECEIVED = auto()  # §7.1.3: the peer started it; the answer is due at once (§5.5.1)
    CLOSE_EXCHANGED = auto()  # §7.1.1: both Closes have passed; the server closes the TCP connection
    FAILED = auto()  # §7.1.7: this side failed the connection; nothing more is read
    CLOSED = auto()  # §7.1.4: the TCP connection has ended


class Event(Enum):
    """An event that changes the state of a connection."""

    SEND_CLOSE = auto()
    RECEIVE_CLOSE = auto()
    FAIL = auto()
    END = auto()


TRANSITIONS: dict[tuple[State, Event], State] = {
    (State.OPEN, Event.SEND_CLOSE): State.CLOSE_SENT,
    (State.OPEN, Event.RECEIVE_CLOSE): State.CLOSE_RECEIVED,
    (State.OPEN, Event.FAIL): State.FAILED,
    (State.OPEN, Event.END): State.CLOSED,
    (State.CLOSE_SENT, Event.RECEIVE_CLOSE): State.CLOSE_EXCHANGED,
    (State.CLOSE_SENT, Event.FAIL): State.FAILED,
    (State.CLOSE_SENT, Event.END): State.CLOSED,
    (State.CLOSE_RECEIVED, Event.SEND_CLOSE): State.CLOSE_EXCHANGED,
    (State.CLOSE_EXCHANGED, Event.END): State.CLOSED,
    (State.FAILED, Event.END): State.CLOSED,
}


def next_state(state: State, event: Event) -> State:
    """Return the state that follows; raise RuntimeError for an event that can't happen in this state."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise RuntimeError(f"{event.name} in state {state.name} is a bug in polysocket") from None
