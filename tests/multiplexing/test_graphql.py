"""A client of graphql-transport-ws that is written once works in every flavour, with strawberry under uvicorn."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection
from websockets.typing import Subprotocol

from docs.examples.graphql_ws import SUBPROTOCOL, GraphQLClient, GraphQLFailed
from polysocket import (
    Blocking,
    MultiplexerFailed,
    ReceiveTimeout,
    SubscriptionFull,
    WebSocketClosed,
    WebSocketHandler,
    basic_request,
    polymorphic,
)
from polysocket.testing import WebSocketStub
from tests.backends.flavours import FLAVOURS, PATIENCE, Flavour
from tests.leaks import nothing_left_behind
from tests.multiplexing import graphql_server
from tests.peers import websockets_server

COUNT = "subscription ($start: Int!, $upTo: Int!) { count(start: $start, upTo: $upTo) }"
FOREVER = "subscription { forever }"


@pytest.fixture(params=FLAVOURS)
def flavour(request: pytest.FixtureRequest) -> Flavour:
    return FLAVOURS[request.param]()


@pytest.fixture
def url() -> Iterator[str]:
    with nothing_left_behind(), graphql_server.serving() as url:
        yield url


@contextlib.asynccontextmanager
async def a_client(flavour: Flavour, url: str, **options: Any) -> AsyncIterator[Any]:
    """Open a client of the flavour, whose results are in its own F."""
    backend = flavour.backend()
    async with flavour.entered(backend):
        request = basic_request.get(url).subprotocol(SUBPROTOCOL)
        response = await flavour.value(backend.open_websocket(request, WebSocketHandler()))
        yield GraphQLClient(response.result, **options)


def play(flavour: Flavour, url: str, body: Callable[[Any], Any], **options: Any) -> None:
    async def main() -> None:
        async with a_client(flavour, url, **options) as client:
            await body(client)

    flavour.run(main)


async def results(flavour: Flavour, subscription: Any, limit: int | None = None) -> list[Any]:
    """Iterate over a subscription with the flavour's own loop, at most this number of times."""
    received: list[Any] = []
    if flavour.is_async:
        async with subscription as entered:
            async for result in entered:
                received.append(result["data"])
                if len(received) == limit:
                    break
    else:
        with subscription as entered:
            for result in entered:
                received.append(result["data"])
                if len(received) == limit:
                    break
    return received


def counted(start: int, up_to: int) -> list[dict[str, int]]:
    return [{"count": number} for number in range(start, up_to)]


def test_queries_return_their_data_at_once(flavour: Flavour, url: str) -> None:
    async def body(client: Any) -> None:
        async def double(number: int) -> Any:
            return await flavour.value(client.execute("query ($n: Int!) { double(number: $n) }", {"n": number}))

        doubling = [flavour.spawn(double, number) for number in range(5)]
        assert [await each.result() for each in doubling] == [{"double": 2 * number} for number in range(5)]

    play(flavour, url, body, payload={"token": "right"})
    assert graphql_server.watch.payloads == [{"token": "right"}]


def test_concurrent_subscriptions_each_receive_their_own_results(flavour: Flavour, url: str) -> None:
    async def body(client: Any) -> None:
        async def count(start: int, up_to: int) -> list[Any]:
            return await results(flavour, client.subscribe(COUNT, {"start": start, "upTo": up_to}))

        counting = [flavour.spawn(count, start, start + 50) for start in (0, 100, 200)]
        assert [await each.result() for each in counting] == [counted(start, start + 50) for start in (0, 100, 200)]

    play(flavour, url, body)


def test_a_subscription_that_is_left_ends_on_the_server(flavour: Flavour, url: str) -> None:
    async def body(client: Any) -> None:
        assert await results(flavour, client.subscribe(FOREVER), 3) == [{"forever": number} for number in (1, 2, 3)]
        assert await flavour.call(graphql_server.watch.has_ended.wait, PATIENCE)
        assert await flavour.value(client.execute("{ double(number: 4) }")) == {"double": 8}

    play(flavour, url, body)


def test_a_slow_subscription_ends_and_does_not_hold_up_others(flavour: Flavour, url: str) -> None:
    async def body(client: Any) -> None:
        slow = client.subscribe(FOREVER, buffer=2)
        numbers = [(await flavour.value(slow.receive()))["data"]["forever"]]
        assert await flavour.call(graphql_server.watch.has_ended.wait, PATIENCE)  # The reader has unsubscribed.
        assert await results(flavour, client.subscribe(COUNT, {"start": 0, "upTo": 20})) == counted(0, 20)

        async def receive_all() -> None:
            while True:
                numbers.append((await flavour.value(slow.receive()))["data"]["forever"])

        for _ in range(2):
            with pytest.raises(SubscriptionFull) as caught:
                await receive_all()
            assert caught.value.frames == 2
        assert numbers in ([1, 2], [1, 2, 3])  # The buffer may be full before the first one is taken.

    play(flavour, url, body)


def test_errors_are_those_of_their_operations(flavour: Flavour, url: str) -> None:
    async def body(client: Any) -> None:
        with pytest.raises(GraphQLFailed, match="Cannot query field 'treble'"):
            await flavour.value(client.execute("{ treble(number: 4) }"))
        with pytest.raises(GraphQLFailed, match="Cannot query field 'treble'"):
            await results(flavour, client.subscribe("subscription { treble }"))
        failing = client.subscribe("subscription { fail }")
        assert await flavour.value(failing.receive()) == {"data": {"fail": 1}}
        assert (await flavour.value(failing.receive()))["errors"][0]["message"] == "on purpose"
        assert await flavour.value(client.execute("{ double(number: 4) }")) == {"double": 8}

    play(flavour, url, body)


def test_an_operation_may_time_out(flavour: Flavour, url: str) -> None:
    async def body(client: Any) -> None:
        with pytest.raises(ReceiveTimeout):
            await flavour.value(client.execute("{ later(seconds: 5) }"))

    play(flavour, url, body, timeout=1)


def test_a_rejected_connection_is_the_end_of_each_operation(flavour: Flavour, url: str) -> None:
    async def body(client: Any) -> None:
        for _ in range(2):
            with pytest.raises(WebSocketClosed, match="4403 'Forbidden'"):
                await flavour.value(client.execute("{ double(number: 4) }"))

    play(flavour, url, body, payload={"token": "wrong"})


def test_ping_waits_for_the_pong(flavour: Flavour, url: str) -> None:
    async def body(client: Any) -> None:
        async def ping() -> Any:
            return await flavour.value(client.ping())

        pinging = [flavour.spawn(ping) for _ in range(3)]
        for each in pinging:
            assert await each.result() is None

    play(flavour, url, body)


class Summing(GraphQLClient[Any]):
    @polymorphic
    async def sum_of_counts(self: Any, up_to: int) -> int:
        total = 0
        async with self.subscribe(COUNT, {"start": 0, "upTo": up_to}) as counting:
            async for result in counting:
                total += result["data"]["count"]
        return total


def test_a_program_may_iterate_over_a_subscription(flavour: Flavour, url: str) -> None:
    async def body(client: Any) -> None:
        assert await flavour.value(Summing(client.websocket).sum_of_counts(11)) == 55

    play(flavour, url, body)


def test_an_agreed_subprotocol_is_needed() -> None:
    ws = WebSocketStub().build(Blocking)
    with pytest.raises(ValueError, match="did not agree on the subprotocol graphql-transport-ws"):
        GraphQLClient(ws)


# What strawberry does not send, from a server with a script


@contextlib.contextmanager
def scripted(script: Callable[[ServerConnection, Callable[[], Any]], None]) -> Iterator[str]:
    """Run a server that plays a script, with a function that receives a message in JSON; return its URL."""

    def play(connection: ServerConnection) -> None:
        script(connection, lambda: json.loads(connection.recv(PATIENCE)))

    with websockets_server(play, subprotocols=[Subprotocol(SUBPROTOCOL)]) as url:
        yield url


def test_pings_of_the_server_are_answered_also_before_its_acknowledgement(flavour: Flavour) -> None:
    def script(connection: ServerConnection, receive: Callable[[], Any]) -> None:
        assert receive() == {"type": "connection_init"}
        for message in ({"type": "ping"}, {"type": "connection_ack"}, {"type": "ping", "payload": {}}):
            connection.send(json.dumps(message))
        messages = [receive() for _ in range(3)]
        assert messages.count({"type": "pong"}) == 2
        number = next(message["id"] for message in messages if message["type"] == "subscribe")
        connection.send(json.dumps({"type": "pong"}))  # which no ping has asked for
        connection.send(json.dumps({"type": "next", "id": "999", "payload": {}}))  # for no operation
        connection.send(json.dumps({"type": "next", "id": number, "payload": {"data": "here"}}))
        connection.recv(PATIENCE)  # complete

    async def body(client: Any) -> None:
        assert await flavour.value(client.execute("{ place }")) == "here"

    with nothing_left_behind(), scripted(script) as url:
        play(flavour, url, body)


@pytest.mark.parametrize("message", ["{", '{"type": "greeting"}', '{"type": "next", "id": "one", "payload": {}}'])
def test_a_message_that_breaks_the_protocol_fails_all_operations(flavour: Flavour, message: str) -> None:
    def script(connection: ServerConnection, receive: Callable[[], Any]) -> None:
        assert receive() == {"type": "connection_init"}
        connection.send(json.dumps({"type": "connection_ack"}))
        assert [receive()["type"] for _ in range(2)] == ["subscribe", "subscribe"]
        connection.send(message)
        with pytest.raises(ConnectionClosed):
            connection.recv(PATIENCE)

    async def body(client: Any) -> None:
        async def execute() -> Any:
            return await flavour.value(client.execute("{ place }"))

        executing = [flavour.spawn(execute) for _ in range(2)]
        for each in executing:
            with pytest.raises(MultiplexerFailed, match="GraphQLClient has closed the websocket") as caught:
                await each.result()
            assert isinstance(caught.value.__cause__, ValueError)
        with pytest.raises(MultiplexerFailed):
            await flavour.value(client.execute("{ place }"))
        ws = client.websocket
        await flavour.value(ws.close())
        assert ws.close_info.sent.code == 1011

    with nothing_left_behind(), scripted(script) as url:
        play(flavour, url, body)


def test_a_server_that_does_not_acknowledge_fails_all_operations(flavour: Flavour) -> None:
    def script(connection: ServerConnection, receive: Callable[[], Any]) -> None:
        with contextlib.suppress(ConnectionClosed):
            while receive():
                pass

    async def body(client: Any) -> None:
        with pytest.raises(MultiplexerFailed) as caught:
            await flavour.value(client.execute("{ place }"))
        assert isinstance(caught.value.__cause__, ReceiveTimeout)

    with nothing_left_behind(), scripted(script) as url:
        play(flavour, url, body, timeout=0.05)
