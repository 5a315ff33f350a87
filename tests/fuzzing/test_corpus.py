"""Run the fuzzing targets on their corpus: no input that a search has found breaks a promise again."""

from __future__ import annotations

import random

import pytest

from tests.builds import replaces_core
from tests.fuzzing.corpus import inputs
from tests.fuzzing.planted import BUGS
from tests.fuzzing.targets import TARGETS

each_target = pytest.mark.parametrize("target", TARGETS)


@each_target
def test_no_input_breaks_a_promise(target: str) -> None:
    assert len(inputs(target)) > 10
    run(target)


@each_target
def test_no_damaged_input_breaks_a_promise(target: str) -> None:
    chooser = random.Random(target)
    for data in inputs(target):
        damaged = bytearray(data)
        for _ in range(chooser.randint(1, 3)):
            start = chooser.randrange(len(damaged))
            damaged[start : start + 1] = chooser.randbytes(chooser.randint(0, 2))
        TARGETS[target](bytes(damaged))


@pytest.mark.parametrize(
    "target", [pytest.param(each, marks=replaces_core) if each == "connection" else each for each in TARGETS]
)
def test_a_planted_bug_breaks_a_promise(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    BUGS[target](monkeypatch.setattr)
    with pytest.raises((AssertionError, IndexError)):
        run(target)


def run(target: str) -> None:
    for data in inputs(target):
        TARGETS[target](data)
