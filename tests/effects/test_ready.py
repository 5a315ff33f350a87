"""A program's ``ready``: what a blocking call returns without running the program."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, cast

import pytest

from polysocket import blocking
from polysocket.effects.blocking import BlockingEffect
from polysocket.testing import EchoServer


def ready(_: object, *, value: object = None) -> object:
    if value == "wrong":
        raise ZeroDivisionError
    return value


class Owner:
    async def program(self, *, value: object = None) -> object:
        return f"the program's {value}"

    cast("Any", program).ready = program, ready


@pytest.mark.parametrize(("value", "result"), [("a", "a"), ("", ""), (None, "the program's None")])
@pytest.mark.parametrize("is_bound", [False, True])
def test_it_is_the_result_unless_it_is_none(value: object, result: object, is_bound: bool) -> None:
    owner = Owner()
    bound: Callable[..., object] = BlockingEffect().lift(owner.program)
    unbound: Callable[..., object] = BlockingEffect().lift(Owner.program)
    assert (bound(value=value) if is_bound else unbound(owner, value=value)) == result


def test_its_error_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        BlockingEffect().lift(Owner().program)(value="wrong")


def test_the_program_refuses_other_arguments() -> None:
    call: Callable[..., object] = BlockingEffect().lift(Owner.program)
    with pytest.raises(TypeError, match=r"Owner\.program\(\) got an unexpected keyword argument 'valeu'"):
        call(Owner(), valeu="a")
    with pytest.raises(TypeError, match=r"Owner\.program\(\) takes 1 positional argument but 2 were given"):
        call(Owner(), "a")


def test_a_program_that_wraps_another_is_run() -> None:
    @functools.wraps(Owner.program)
    async def wrapping(self: Owner, *, value: object = None) -> object:
        return f"around {await Owner.program(self, value=value)}"

    assert BlockingEffect().lift(wrapping)(Owner(), value="a") == "around the program's a"


def test_a_method_with_a_wrong_argument_names_itself() -> None:
    with EchoServer() as server, blocking.connect(server.url) as ws:
        ws.send_text("a")
        ws.send_text("b")
        assert ws.receive_text() == "a"
        with pytest.raises(TypeError, match=r"receive_text\(\) got an unexpected keyword argument 'tiemout'"):
            cast("Any", ws).receive_text(tiemout=1)
        assert ws.receive_text() == "b"
