"""A JSON-RPC client that is written once works in every flavour, against a server made with ``websockets``."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any

import pytest

from docs.examples.json_rpc import JsonRpcClient, JsonRpcError
from polysocket import ReceiveTimeout, WebSocketClosed, WebSocketHandler
from polysocket import asyncio as polysocket_asyncio
from tests.backends.flavours import FLAVOURS, Flavour, seen
from tests.effects.json_rpc_server import Server, serving
from tests.leaks import nothing_left_behind

Body = Callable[[Any], Coroutine[Any, Any, None]]


@pytest.fixture
def rpc_server() -> Server:
    return Server()


@pytest.fixture
def url(rpc_server: Server) -> Iterator[str]:
    with nothing_left_behind(), serving(rpc_server) as url:
        yield url


@pytest.fixture(params=FLAVOURS)
def flavour(request: pytest.FixtureRequest) -> Flavour:
    return FLAVOURS[request.param]()


@pytest.fixture
def play(flavour: Flavour, url: str) -> Callable[[Body], None]:
    """A function that runs a conversation in a flavour, with a client whose methods are awaited."""

    @contextlib.asynccontextmanager
    async def client() -> AsyncIterator[Any]:
        backend = flavour.backend()
        async with flavour.entered(backend):
            response = await flavour.value(backend.open_websocket(url, WebSocketHandler()))
            yield seen(flavour, JsonRpcClient(response.result))

    def play(body: Body) -> None:
        async def main() -> None:
            async with client() as rpc:
                await body(rpc)

        flavour.run(main)

    return play


def test_calls_return_results(play: Callable[[Body], None]) -> None:
    async def body(rpc: Any) -> None:
        assert await rpc.call("subtract", [42, 23]) == 19
        assert await rpc.call("subtract", params={"subtrahend": 23, "minuend": 42}) == 19

    play(body)


def test_an_error_is_raised_and_the_next_call_works(play: Callable[[Body], None]) -> None:
    async def body(rpc: Any) -> None:
        with pytest.raises(JsonRpcError, match=r"^Method not found \(-32601\)$") as caught:
            await rpc.call("add")
        assert (caught.value.code, caught.value.data) == (-32601, "add")
        assert await rpc.call("subtract", [2, 1]) == 1

    play(body)


def test_many_calls_may_wait_at_once(play: Callable[[Body], None], flavour: Flavour) -> None:
    async def body(rpc: Any) -> None:
        calls = [flavour.spawn(rpc.call, "subtract", [number, 1]) for number in range(20)]
        assert [await call.result() for call in calls] == list(range(-1, 19))

    play(body)


def test_gather_of_three_calls_returns_three_results(url: str) -> None:
    async def main() -> None:
        async with polysocket_asyncio.connect(url) as ws:
            rpc = JsonRpcClient(ws)
            assert await asyncio.gather(*(rpc.call("subtract", [number, 1]) for number in (2, 3, 4))) == [1, 2, 3]

    asyncio.run(main())


def test_answers_in_another_order_reach_their_calls(
    play: Callable[[Body], None], rpc_server: Server, flavour: Flavour
) -> None:
    async def body(rpc: Any) -> None:
        held = flavour.spawn(rpc.call, "hold")
        await flavour.call(rpc_server.wait_until_holding)
        assert await rpc.call("subtract", [2, 1]) == 1
        assert await held.result() == "held"

    play(body)


def test_a_notification_has_no_answer(play: Callable[[Body], None], rpc_server: Server) -> None:
    async def body(rpc: Any) -> None:
        await rpc.notify("update", [1])
        assert await rpc.call("subtract", [2, 1]) == 1

    play(body)
    assert rpc_server.notified == [{"jsonrpc": "2.0", "method": "update", "params": [1]}]


def test_a_batch_returns_the_results_in_the_order_of_its_calls(play: Callable[[Body], None]) -> None:
    async def body(rpc: Any) -> None:
        assert await rpc.batch(("subtract", [3, 1]), ("hold", []), ("subtract", [3, 2])) == [2, "held", 1]
        assert await rpc.batch() == []
        with pytest.raises(JsonRpcError, match="Method not found"):
            await rpc.batch(("subtract", [3, 1]), ("add", []))
        assert await rpc.call("subtract", [2, 1]) == 1

    play(body)


def test_an_error_without_a_number_is_raised_by_the_calls_that_wait(
    play: Callable[[Body], None], rpc_server: Server, flavour: Flavour
) -> None:
    async def body(rpc: Any) -> None:
        held = flavour.spawn(rpc.call, "hold")
        await flavour.call(rpc_server.wait_until_holding)
        await seen_websocket(rpc).send_text("{")
        with pytest.raises(JsonRpcError, match="Parse error"):
            await held.result()
        assert await rpc.call("subtract", [2, 1]) == 1

    play(body)


def test_the_end_of_the_websocket_ends_a_call(play: Callable[[Body], None]) -> None:
    async def body(rpc: Any) -> None:
        with pytest.raises(WebSocketClosed, match="4000 'as asked for'"):
            await rpc.call("leave")

    play(body)


def test_a_call_may_time_out(play: Callable[[Body], None]) -> None:
    async def body(rpc: Any) -> None:
        with set_timeout(rpc, 0.01), pytest.raises(ReceiveTimeout, match="no answer was received"):
            await rpc.call("hold")
        assert await rpc.call("subtract", [2, 1]) == 1

    play(body)


def seen_websocket(rpc: Any) -> Any:
    return rpc.websocket if isinstance(rpc, JsonRpcClient) else seen(rpc._flavour, rpc.websocket)


@contextlib.contextmanager
def set_timeout(rpc: Any, seconds: float) -> Iterator[None]:
    client = rpc if isinstance(rpc, JsonRpcClient) else rpc._thing
    usual, client._timeout = client._timeout, seconds
    yield
    client._timeout = usual
