"""A program's ``ready``: what a blocking call returns without running the program."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from polysocket.effects.blocking import BlockingEffect


def ready(_: object, value: object) -> object:
    return value


class Owner:
    async def program(self, value: object) -> object:
        return f"the program's {value}"

    cast("Any", program).ready = ready


@pytest.mark.parametrize(("value", "result"), [("a", "a"), ("", ""), (None, "the program's None")])
@pytest.mark.parametrize("bound", [False, True])
def test_it_is_the_result_unless_it_is_none(value: object, result: object, bound: bool) -> None:
    owner = Owner()
    call: Callable[..., object]
    if bound:
        call = BlockingEffect().lift(owner.program)
        assert call(value) == result
    else:
        call = BlockingEffect().lift(Owner.program)
        assert call(owner, value) == result


def test_its_error_is_raised() -> None:
    async def program() -> object:
        raise AssertionError("not called")

    def fail() -> object:
        raise ZeroDivisionError

    cast("Any", program).ready = fail
    with pytest.raises(ZeroDivisionError):
        BlockingEffect().lift(program)()
