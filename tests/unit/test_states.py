"""The table of a connection's states: what each event leads to (RFC 6455 §7)."""

from __future__ import annotations

from itertools import product

import pytest

from polysocket._core.states import TRANSITIONS, Event, State, next_state

# The table as RFC 6455 describes it: the next state for each state and event.
NEXT_STATES = {
    State.OPEN: {
        Event.SEND_CLOSE: State.CLOSE_SENT,
        Event.RECEIVE_CLOSE: State.CLOSE_RECEIVED,
        Event.FAIL: State.FAILED,
        Event.END: State.CLOSED,
    },
    State.CLOSE_SENT: {
        Event.RECEIVE_CLOSE: State.CLOSE_EXCHANGED,
        Event.FAIL: State.FAILED,
        Event.END: State.CLOSED,
    },
    State.CLOSE_RECEIVED: {Event.SEND_CLOSE: State.CLOSE_EXCHANGED},
    State.CLOSE_EXCHANGED: {Event.END: State.CLOSED},
    State.FAILED: {Event.END: State.CLOSED},
    State.CLOSED: {},
}


@pytest.mark.parametrize(("state", "event"), list(product(State, Event)), ids=lambda value: value.name)
def test_each_event_leads_to_the_state_of_the_rfc_and_any_other_event_raises(state: State, event: Event) -> None:
    if event in NEXT_STATES[state]:
        assert next_state(state, event) is NEXT_STATES[state][event]
    else:
        with pytest.raises(RuntimeError, match=f"{event.name} in state {state.name} is a bug in polysocket"):
            next_state(state, event)


def test_every_state_is_reached_from_open_and_leads_to_closed() -> None:
    reached = {State.OPEN}
    for _ in State:
        reached |= {following for (before, _), following in TRANSITIONS.items() if before in reached}
    ending = {State.CLOSED}
    for _ in State:
        ending |= {before for (before, _), following in TRANSITIONS.items() if following in ending}
    assert reached == set(State)
    assert ending == set(State)


def test_no_state_is_entered_twice() -> None:
    """No event leads to the same state or to an earlier one."""
    order = list(State)
    assert all(order.index(before) < order.index(following) for (before, _), following in TRANSITIONS.items())
