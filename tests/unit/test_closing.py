"""The table of closing states by itself: what follows what, and that nothing else can happen (RFC 6455 §7)."""

from __future__ import annotations

from itertools import product

import pytest

from polysocket.core.closing import TRANSITIONS, Event, State, after

# The same table, written as RFC 6455 tells it: for each state, what each event leads to.
STORY = {
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


@pytest.mark.parametrize(("state", "event"), product(State, Event), ids=lambda value: value.name)
def test_each_event_leads_where_the_rfc_says_and_any_other_is_a_bug_that_is_told(state: State, event: Event) -> None:
    if event in STORY[state]:
        assert after(state, event) is STORY[state][event]
    else:
        with pytest.raises(RuntimeError, match=f"{event.name} in state {state.name} is a bug in polysocket"):
            after(state, event)


def test_every_state_is_reached_from_open_and_leads_to_closed() -> None:
    reached = {State.OPEN}
    for _ in State:
        reached |= {after for (before, _), after in TRANSITIONS.items() if before in reached}
    ending = {State.CLOSED}
    for _ in State:
        ending |= {before for (before, _), after in TRANSITIONS.items() if after in ending}
    assert reached == set(State)
    assert ending == set(State)


def test_no_state_is_entered_twice() -> None:
    """A closing only goes forward: no event leads to the same state or to an earlier one."""
    order = list(State)
    assert all(order.index(before) < order.index(after) for (before, _), after in TRANSITIONS.items())
