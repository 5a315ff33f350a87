"""``ws.effect``: programs wait for time, events and other programs, in every flavour."""

from __future__ import annotations

from contextvars import ContextVar
from functools import partial
from typing import Any

import pytest

from polysocket import Async, InvalidRequest, WebSocket, WebSocketClosed, polymorphic
from polysocket.testing.contract.flavour import Flavour, connected, promise
from polysocket.testing.contract.places import Echo

_setting: ContextVar[str] = ContextVar("_setting", default="none")


@polymorphic
async def sleep(ws: WebSocket[Async], seconds: float) -> float:
    begun = ws.effect.now()
    await ws.effect.sleep(seconds)
    return ws.effect.now() - begun


@polymorphic
async def spawn(ws: WebSocket[Async], call: Any) -> object:
    return await ws.effect.spawn(call).result()


@polymorphic
async def receive_within(ws: WebSocket[Async], seconds: float | None) -> str:
    async with ws.effect.time_limit(seconds):
        return await ws.receive_text()


@polymorphic
async def sleep_within(ws: WebSocket[Async], seconds: float, limit: float) -> None:
    async with ws.effect.time_limit(limit):
        await ws.effect.sleep(seconds)


@polymorphic
async def ask_in_the_background(ws: WebSocket[Async], *texts: str) -> list[str]:
    """Send in background programs, which begin at an event; receive meanwhile."""
    go_on = ws.effect.event()

    async def send(text: str) -> str:
        await go_on.wait()
        await ws.send_text(text)
        return f"sent {text}"

    sending = [ws.effect.spawn(partial(send, text)) for text in texts]
    assert not any(each.is_done for each in sending)
    go_on.set()
    received = sorted([await ws.receive_text() for _ in texts])
    sent = [await each.result() for each in sending]
    assert all(each.is_done for each in sending)
    return received + sent


@polymorphic
async def fail_in_the_background(ws: WebSocket[Async]) -> None:
    async def fail() -> None:
        await ws.send_text("before")
        raise LookupError("on purpose")

    failing = ws.effect.spawn(fail)
    for _ in range(2):
        with pytest.raises(LookupError, match="on purpose"):
            await failing.result()
    assert failing.is_done


@polymorphic
async def receive_in_the_background(ws: WebSocket[Async]) -> str:
    receiving = ws.effect.spawn(ws.receive_text)
    await ws.close()
    with pytest.raises(WebSocketClosed) as caught:
        await receiving.result()
    return str(caught.value)


@polymorphic
async def look_at_context(ws: WebSocket[Async]) -> str:
    async def look() -> str:
        await ws.effect.sleep(0.02)  # longer than the caller's limit, which is not the background's
        return _setting.get()

    _setting.set("the caller's")
    async with ws.effect.time_limit(5):
        looking = await spawn_within(ws, look)
        return str(await looking.result())


async def spawn_within(ws: WebSocket[Async], program: Any) -> Any:
    async with ws.effect.time_limit(0.01):
        return ws.effect.spawn(program)


@promise
async def test_a_program_may_sleep(flavour: Flavour, echo: Echo) -> None:
    async with connected(flavour, echo) as ws:
        assert await sleep(ws, 0.05) >= 0.05 - 0.001  # uvloop rounds time to milliseconds
        assert await sleep(ws, 0) < 5
        with pytest.raises(InvalidRequest, match="seconds is a number of seconds"):
            await sleep(ws, "1")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
        with pytest.raises(InvalidRequest, match="seconds is a number of seconds, not None"):
            await sleep(ws, None)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]


@promise
async def test_a_program_may_limit_its_time(flavour: Flavour, echo: Echo) -> None:
    async with connected(flavour, echo) as ws:
        with pytest.raises(TimeoutError):
            await receive_within(ws, 0.01)
        with pytest.raises(TimeoutError):
            await sleep_within(ws, 5, 0.01)
        await sleep_within(ws, 0.01, 5)
        await ws.send_text("nothing is lost")
        assert await receive_within(ws, None) == "nothing is lost"


@promise
async def test_a_program_may_start_background_programs_and_wait_for_their_results(flavour: Flavour, echo: Echo) -> None:
    async with connected(flavour, echo) as ws:
        assert await ask_in_the_background(ws, "a", "b") == ["a", "b", "sent a", "sent b"]


@promise
async def test_the_error_of_a_background_program_is_raised_by_its_result(flavour: Flavour, echo: Echo) -> None:
    async with connected(flavour, echo) as ws:
        await fail_in_the_background(ws)


@promise
async def test_a_background_program_that_receives_ends_with_the_websocket(flavour: Flavour, echo: Echo) -> None:
    async with connected(flavour, echo) as ws:
        assert "closed by this side" in await receive_in_the_background(ws)


@promise
async def test_a_background_program_has_the_context_variables_of_its_caller_and_no_time_limit(
    flavour: Flavour, echo: Echo
) -> None:
    async with connected(flavour, echo) as ws:
        assert await look_at_context(ws) == "the caller's"


@promise
async def test_the_effect_of_a_program_has_the_name_of_the_flavour(flavour: Flavour, echo: Echo) -> None:
    @polymorphic
    async def name(ws: WebSocket[Async]) -> str:
        return ws.effect.name

    async with connected(flavour, echo) as ws:
        assert await name(ws) == flavour.effect().name


@pytest.mark.parametrize("method", ["spawn", "either", "either_close"])
@promise
async def test_anything_but_a_function_is_refused_at_once(flavour: Flavour, echo: Echo, method: str) -> None:
    """With a pair of parentheses too many, the call is over before the method begins."""
    async with connected(flavour, echo) as ws:
        call: Any = ws.effect.spawn if method == "spawn" else getattr(ws, method)
        for wrong in ("Hello!", None, ws.pong()):
            with pytest.raises(TypeError, match=rf"^{method}\(\) takes a function, such as ws.receive_text "):
                await call(wrong)
