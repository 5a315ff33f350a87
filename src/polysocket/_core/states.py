"""The states of a connection after its opening handshake, and the table that moves between them.

RFC 6455 §7 in one place: no other module says which state follows which.
:class:`~polysocket._core.connection.Connection` moves through the table; whatever is not in it can't happen, and
:func:`after` says so loudly.
"""

from __future__ import annotations

from enum import Enum, auto

__all__ = ["TRANSITIONS", "Event", "State", "after"]


class State(Enum):
    """Where a connection stands in its closing."""

    OPEN = auto()
    CLOSE_SENT = auto()  # §7.1.3: the closing handshake is started, by this side
    CLOSE_RECEIVED = auto()  # §7.1.3: started by the other side; the answer is due at once (§5.5.1)
    CLOSE_EXCHANGED = auto()  # §7.1.1: both Closes have passed; the server closes the TCP connection
    FAILED = auto()  # §7.1.7: this side gave up; nothing more is read
    CLOSED = auto()  # §7.1.4: the TCP connection has ended


class Event(Enum):
    """What moves a connection on."""

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


def after(state: State, event: Event) -> State:
    """The state that follows; raises RuntimeError for an event that can't happen in this state."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise RuntimeError(f"{event.name} in state {state.name} is a bug in polysocket") from None
