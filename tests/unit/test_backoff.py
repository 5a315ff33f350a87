"""The values of reconnecting: the policy of delays, and the gap between two connections."""

from __future__ import annotations

import dataclasses
import math
import pickle
from typing import Any

import pytest

from polysocket import Backoff, CloseCause, CloseInfo, Gap, InvalidRequest, Side

LOST = CloseInfo(Side.REMOTE, CloseCause.NETWORK)

BACKOFFS: list[tuple[dict[str, Any], str]] = [
    ({"initial": -1}, "initial is a finite number of at least 0 seconds, not -1"),
    ({"initial": "1"}, "initial is a finite number of at least 0 seconds, not '1'"),
    ({"initial": True}, "initial is a finite number of at least 0 seconds, not True"),
    ({"maximum": math.inf}, "maximum is a finite number of at least 0 seconds, not inf"),
    ({"maximum": None}, "maximum is a finite number of at least 0 seconds, not None"),
    ({"factor": 0.5}, "factor is a finite number of at least 1, not 0.5"),
    ({"factor": math.nan}, "factor is a finite number of at least 1, not nan"),
    ({"attempts": 0}, "attempts of a Backoff is a whole number, or None for no limit, and at least 1, not 0"),
    ({"attempts": 1.0}, "attempts of a Backoff is a whole number, or None for no limit, and at least 1, not 1.0"),
    ({"attempts": True}, "attempts of a Backoff is a whole number, or None for no limit, and at least 1, not True"),
    ({"stable_after": -0.1}, "stable_after is a finite number of at least 0 seconds, not -0.1"),
]

GAPS: list[tuple[dict[str, Any], str]] = [
    ({"close_info": None}, "close_info of a Gap is a CloseInfo, not None"),
    ({"attempts": 0}, "attempts of a Gap is a whole number, and at least 1, not 0"),
    ({"attempts": "1"}, "attempts of a Gap is a whole number, and at least 1, not '1'"),
    ({"seconds": -1}, "seconds is a finite number of at least 0 seconds, not -1"),
]


@pytest.mark.parametrize(("settings", "why"), BACKOFFS, ids=[why for _, why in BACKOFFS])
def test_a_policy_that_can_not_work_is_refused(settings: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        Backoff(**settings)
    assert str(caught.value) == why


@pytest.mark.parametrize(("fields", "why"), GAPS, ids=[why for _, why in GAPS])
def test_a_gap_of_wrong_values_is_refused(fields: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        Gap(**{"close_info": LOST, "attempts": 1, "seconds": 0.5, **fields})
    assert str(caught.value) == why


def test_the_default_policy() -> None:
    policy = Backoff()
    assert dataclasses.astuple(policy) == (0.5, 60, 2, None, 10)
    assert policy == Backoff(initial=0.5, maximum=60, factor=2, attempts=None, stable_after=10)


@pytest.mark.parametrize("value", [Backoff(), Gap(LOST, 1, 0)], ids=["policy", "gap"])
def test_values_are_frozen_and_can_be_pickled(value: Any) -> None:
    name = dataclasses.fields(value)[1].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, name, 2)
    assert pickle.loads(pickle.dumps(value)) == value
    assert len({value, value}) == 1


@pytest.mark.parametrize(("retry", "longest"), [(1, 0.5), (2, 1), (3, 2), (7, 32), (8, 60), (9, 60), (5000, 60)])
def test_a_delay_has_full_jitter_up_to_an_exponential_limit(retry: int, longest: float) -> None:
    delays = [Backoff().delay(retry) for _ in range(1000)]
    assert min(delays) >= 0
    assert max(delays) <= longest
    # Each of these is wrong once in 0.9 ** 1000 runs.
    assert min(delays) < longest * 0.1
    assert max(delays) > longest * 0.9
    assert any(longest * 0.45 < delay < longest * 0.55 for delay in delays)


@pytest.mark.parametrize("retry", [1, 2, 5000])
def test_an_initial_delay_of_zero_stays_zero(retry: int) -> None:
    assert Backoff(initial=0).delay(retry) == 0


def test_a_maximum_below_the_initial_delay_bounds_it() -> None:
    assert max(Backoff(initial=10, maximum=0.1).delay(1) for _ in range(100)) <= 0.1


@pytest.mark.parametrize("retry", [0, -1, "1", 1.0, None, True])
def test_a_retry_is_a_whole_number_of_at_least_1(retry: Any) -> None:
    with pytest.raises(InvalidRequest, match="retry is a whole number, and at least 1, not"):
        Backoff().delay(retry)
