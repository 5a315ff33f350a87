"""Multiplexing: many requests and subscriptions on one websocket, with one reader in the background."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest

from polysocket import (
    Async,
    Buffer,
    ConcurrentReceive,
    ConnectionLost,
    ExchangeEnded,
    InvalidRequest,
    MultiplexerFailed,
    ReceiveTimeout,
    ReentrantCall,
    SubscriptionFull,
    WebSocket,
    WebSocketClosed,
    polymorphic,
)
from polysocket.multiplexing import Multiplexer
from polysocket.testing.contract import wire
from polysocket.testing.contract.flavour import INTERRUPTED, Flavour, connected, promise
from polysocket.testing.contract.places import Echo, Peer
from polysocket.testing.contract.wire import Wire

F = TypeVar("F")
T = TypeVar("T")

HUGE = 6 * 1024 * 1024  # bytes: more than the network takes from a sender whose peer does not read
LONG = 5  # seconds, in which a call that does not wait for the network has ended on any machine


class Client(Multiplexer[F]):
    """A client of a protocol whose messages are a number, a colon and a text; an echo server answers at once.

    The text ``end`` finishes an exchange.
    """

    @polymorphic
    async def ask(self: Client[Async], text: str, *, timeout: float | None = None) -> Any:
        async with self.exchange() as exchange:
            await self.websocket.send_text(f"{exchange.number}:{text}")
            return await exchange.receive(timeout=timeout)

    async def on_subscribe(self: Client[Async], number: int, request: Any, /) -> None:
        for text in request:
            await self.websocket.send_text(f"{number}:{text}")

    async def on_unsubscribe(self: Client[Async], number: int, /) -> None:
        await self.websocket.send_text(f"{number}:left")

    async def on_message(self: Client[Async], message: str | bytes, /) -> None:
        number, _, text = str(message).partition(":")
        if text == "end":
            self.finish(int(number))
        else:
            self.deliver(int(number), text)


async def text_of(flavour: Flavour, peer: Peer) -> str:
    return (await flavour.call(peer.frame)).payload.decode()


async def answer(flavour: Flavour, peer: Peer, *texts: str) -> None:
    await flavour.call(peer.send, b"".join(map(wire.text, texts)))


@promise
async def test_many_callers_each_receive_their_own_answers(flavour: Flavour, echo: Echo) -> None:
    async with connected(flavour, echo) as ws:
        client = Client(ws)
        asking = [flavour.spawn(functools.partial(client.ask, str(number))) for number in range(20)]
        assert [await each.result() for each in asking] == [str(number) for number in range(20)]


@promise
async def test_answers_may_come_in_another_order(flavour: Flavour, peer: Peer) -> None:
    async with connected(flavour, peer) as ws:
        client = Client(ws)
        first = flavour.spawn(client.ask, "first")
        assert await text_of(flavour, peer) == "1:first"
        second = flavour.spawn(client.ask, "second")
        assert await text_of(flavour, peer) == "2:second"
        await answer(flavour, peer, "2:b", "3:for no exchange", "1:a")
        assert (await second.result(), await first.result()) == ("b", "a")


@promise
async def test_a_caller_that_is_cancelled_leaves_the_others_waiting(flavour: Flavour, peer: Peer) -> None:
    async with connected(flavour, peer) as ws:
        client = Client(ws)
        asking = flavour.spawn(client.ask, "first")
        assert await text_of(flavour, peer) == "1:first"
        assert await flavour.interrupt(functools.partial(client.ask, "second")) is INTERRUPTED
        assert await text_of(flavour, peer) == "2:second"
        await answer(flavour, peer, "2:too late", "1:a")
        assert await asking.result() == "a"


@promise
async def test_a_caller_may_time_out(flavour: Flavour, peer: Peer) -> None:
    async with connected(flavour, peer) as ws:
        client = Client(ws)
        with pytest.raises(ReceiveTimeout, match=r"no answer was received within 0\.01 seconds") as caught:
            await client.ask("first", timeout=0.01)
        assert (caught.value.timeout, caught.value.awaited) == (0.01, "answer")
        with pytest.raises(InvalidRequest):
            await client.ask("second", timeout="1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("has_close", [True, False])
@promise
async def test_the_end_of_the_websocket_ends_all_callers(flavour: Flavour, peer: Peer, has_close: bool) -> None:
    async with connected(flavour, peer) as ws:
        client = Client(ws)
        subscription = client.subscription(["subscribed"])
        receiving = flavour.spawn(subscription.receive)
        assert await text_of(flavour, peer) == "1:subscribed"
        asking = [flavour.spawn(client.ask, "question") for _ in range(3)]
        for _ in asking:
            await text_of(flavour, peer)
        if has_close:
            await flavour.call(peer.send, wire.close(4000, "enough"))
        peer.hang_up()
        reason = r"received 4000 .*'enough'" if has_close else "no Close received"
        calls: list[Callable[[], Coroutine[Any, Any, Any]]] = [each.result for each in (receiving, *asking)]
        calls.append(lambda: client.ask("too late"))
        for call in calls:
            with pytest.raises(WebSocketClosed, match=reason) as caught:
                await call()
            assert has_close or isinstance(caught.value, ConnectionLost)


@promise
async def test_an_answer_that_came_before_the_end_is_returned(flavour: Flavour, peer: Peer) -> None:
    async with connected(flavour, peer) as ws:
        client = Client(ws)
        asking = flavour.spawn(client.ask, "question")
        assert await text_of(flavour, peer) == "1:question"
        await flavour.call(peer.send, wire.text("1:a") + wire.close(1000))
        assert await asking.result() == "a"


@promise
async def test_closing_ends_the_callers_and_the_reader(flavour: Flavour, echo: Echo) -> None:
    async with connected(flavour, echo) as ws:
        client = Client(ws)
        subscription = client.subscription([])
        receiving = flavour.spawn(subscription.receive)
        assert await client.ask("a") == "a"
        await receiving.waiting()
        await ws.close()
        with pytest.raises(WebSocketClosed, match="closed by this side"):
            await receiving.result()


@promise
async def test_only_the_reader_receives(flavour: Flavour, echo: Echo) -> None:
    async with connected(flavour, echo) as ws:
        client = Client(ws)
        assert await client.ask("a") == "a"
        with pytest.raises(ConcurrentReceive):
            await ws.receive()


@promise
async def test_a_subscription_ends_when_the_peer_finishes_it(flavour: Flavour, echo: Echo) -> None:
    async with connected(flavour, echo) as ws:
        client = Client(ws)
        async with client.subscription(["a", "b", "end"]) as subscription:
            assert [text async for text in subscription] == ["a", "b"]
            for _ in range(2):
                with pytest.raises(ExchangeEnded):
                    await subscription.receive()
        without_block = client.subscription(["c", "end"])
        assert [text async for text in without_block] == ["c"]


@promise
async def test_leaving_a_subscription_sends_its_end_once(flavour: Flavour, peer: Peer) -> None:
    async with connected(flavour, peer) as ws:
        client = Client(ws)
        async with client.subscription(["a"]) as subscription:
            assert await text_of(flavour, peer) == "1:a"
            await answer(flavour, peer, "1:b", "1:c")
            async for text in subscription:
                assert text == "b"
                break
            await subscription.unsubscribe()
            with pytest.raises(ExchangeEnded):
                await subscription.receive()
        async with client.subscription(["d"]):
            pass
        assert [await text_of(flavour, peer) for _ in range(3)] == ["1:left", "2:d", "2:left"]


@pytest.mark.parametrize("request_", [["a"], []], ids=["while it begins", "while it waits"])
@promise
async def test_a_subscription_that_is_cancelled_does_not_wait_for_the_network(
    flavour: Flavour, slow_peer: Peer, request_: list[str]
) -> None:
    async with connected(flavour, slow_peer) as ws:
        client = Client(ws)
        async with client.exchange():  # starts the reader
            pass
        sending = flavour.spawn(ws.send_binary, bytes(HUGE))
        await sending.waiting()

        async def subscribe() -> None:
            async with client.subscription(request_) as subscription:
                await subscription.receive()

        began = flavour.effect().now()
        assert await flavour.interrupt(subscribe, 5) is INTERRUPTED
        assert flavour.effect().now() - began < LONG
        assert await flavour.call(slow_peer.frame) == Wire(wire.BINARY, bytes(HUGE))
        await sending.result()
        asking = flavour.spawn(client.ask, "next")
        assert await text_of(flavour, slow_peer) == "3:next"
        await answer(flavour, slow_peer, "3:answer")
        assert await asking.result() == "answer"


@promise
async def test_a_full_subscription_ends_and_the_others_go_on(flavour: Flavour, echo: Echo) -> None:
    async with connected(flavour, echo) as ws:
        client = Client(ws)
        slow = client.subscription("abcd", buffer=Buffer.bounded(2))
        heavy = client.subscription([50 * "a", 50 * "é", "c"], buffer=Buffer.bounded(100, max_bytes=100))
        unbounded = client.subscription([*"abcdef", "end"], buffer=Buffer.unbounded())
        async with slow, heavy, unbounded:
            assert await client.ask("question") == "question"
            assert [await slow.receive(), await slow.receive()] == ["a", "b"]
            assert await heavy.receive() == 50 * "a"
            for each, bounds in ((slow, (2, 16 * 1024 * 1024)), (heavy, (100, 100))):
                with pytest.raises(SubscriptionFull) as caught:
                    await each.receive()
                assert (caught.value.frames, caught.value.max_bytes) == bounds
            assert [text async for text in unbounded] == list("abcdef")


@promise
async def test_a_full_subscription_is_unsubscribed_at_once(flavour: Flavour, peer: Peer) -> None:
    async with connected(flavour, peer) as ws:
        async with Client(ws).subscription(["a"], buffer=Buffer.bounded(1)) as slow:
            assert await text_of(flavour, peer) == "1:a"
            await answer(flavour, peer, "1:b", "1:c", "1:d")
            assert await text_of(flavour, peer) == "1:left"
            assert await slow.receive() == "b"
        assert ws.is_open


@promise
async def test_wrong_arguments_are_refused_before_anything_is_sent(flavour: Flavour, peer: Peer) -> None:
    async with connected(flavour, peer) as ws:
        client = Client(ws)
        wrong: Any = "wrong"
        with pytest.raises(InvalidRequest, match="buffer is a Buffer, not 'wrong'"):
            client.subscription(["a"], buffer=wrong)
        for call in (lambda: client.finish(1, wrong), lambda: client.finish_all(wrong)):
            with pytest.raises(TypeError, match="error is an exception or None, not 'wrong'"):
                call()
        subscription = client.subscription(["a"])
        with pytest.raises(InvalidRequest, match="timeout is a number of seconds"):
            await subscription.receive(timeout=wrong)
        await ws.send_text("nothing before")
        assert await text_of(flavour, peer) == "nothing before"


@promise
async def test_a_buffer_that_waits_is_refused(flavour: Flavour, echo: Echo) -> None:
    async with connected(flavour, echo) as ws:
        with pytest.raises(InvalidRequest, match="can't wait"):
            Client(ws).subscription([], buffer=Buffer.bounded(1, overflow="wait"))


class Wrong(Client[F]):
    """A client whose ``on_message`` does what the test says."""

    def __init__(self, ws: WebSocket[F], wrong: Callable[[Wrong[Async]], Coroutine[Any, Any, object]]) -> None:
        super().__init__(ws)
        self.wrong = wrong

    async def on_message(self: Wrong[Async], message: str | bytes, /) -> None:
        await self.wrong(self)
        self.deliver(1, "after all")


async def fail(client: Client[Async]) -> None:
    raise LookupError("on purpose")


@promise
async def test_an_error_of_on_message_fails_all_callers(flavour: Flavour, echo: Echo) -> None:
    async with connected(flavour, echo) as ws:
        client = Wrong(ws, fail)
        async with client.subscription([]) as subscription:
            receiving = flavour.spawn(subscription.receive)
            await receiving.waiting()
            calls: list[Callable[[], Coroutine[Any, Any, Any]]] = [receiving.result, lambda: client.ask("b")]
            for call in (lambda: client.ask("a"), *calls):
                with pytest.raises(MultiplexerFailed, match="Wrong has closed the websocket") as caught:
                    await call()
                assert isinstance(caught.value.__cause__, LookupError)
        await ws.close()
        assert ws.close_info is not None
        assert ws.close_info.sent is not None
        assert ws.close_info.sent.code == 1011


@promise
async def test_on_message_can_not_wait_for_an_answer(flavour: Flavour, echo: Echo) -> None:
    async with connected(flavour, echo) as ws:
        with pytest.raises(MultiplexerFailed) as caught:
            await Wrong(ws, lambda client: client.ask("b")).ask("a")
        assert isinstance(caught.value.__cause__, ReentrantCall)


@promise
async def test_on_message_may_start_a_program_that_waits(flavour: Flavour, echo: Echo) -> None:
    class Curious(Client[F]):
        answers: list[Any] = []  # noqa: RUF012 - one client in the test

        async def on_message(self: Any, message: str | bytes, /) -> None:
            if message == "1:a":
                self.asking = self.websocket.effect.spawn(lambda: self.ask("b"))
            await Client.on_message(self, message)

        @polymorphic
        async def result(self: Any) -> Any:
            return await self.asking.result()

    async with connected(flavour, echo) as ws:
        client = Curious(ws)
        assert await client.ask("a") == "a"
        assert await client.result() == "b"


@promise
async def test_on_message_may_close_the_websocket(flavour: Flavour, echo: Echo) -> None:
    async with connected(flavour, echo) as ws:
        client = Wrong(ws, lambda client: client.websocket.close(4001))
        assert await client.ask("a") == "after all"
        with pytest.raises(WebSocketClosed, match="4001"):
            await client.ask("b")


class Login(Client[F]):
    """A client that logs in before all else."""

    async def on_start(self: Login[Async]) -> None:
        await self.websocket.send_text("user")
        self.greeting: str = await self.websocket.receive_text(timeout=5)


@promise
async def test_on_start_comes_once_and_before_all_requests(flavour: Flavour, peer: Peer) -> None:
    async with connected(flavour, peer) as ws:
        client = Login(ws)
        asking = [flavour.spawn(client.ask, "question") for _ in range(2)]
        assert await text_of(flavour, peer) == "user"
        await answer(flavour, peer, "welcome")
        assert sorted([await text_of(flavour, peer) for _ in asking]) == ["1:question", "2:question"]
        await answer(flavour, peer, "1:a", "2:a")
        assert [await each.result() for each in asking] == ["a", "a"]
        assert client.greeting == "welcome"


@promise
async def test_the_end_of_the_websocket_in_on_start_ends_all_callers(flavour: Flavour, peer: Peer) -> None:
    async with connected(flavour, peer) as ws:
        asking = [flavour.spawn(Login(ws).ask, "question")]
        assert await text_of(flavour, peer) == "user"
        await flavour.call(peer.send, wire.close(4403, "Forbidden"))
        for each in asking:
            with pytest.raises(WebSocketClosed, match="4403 'Forbidden'"):
                await each.result()


@promise
async def test_a_client_without_subscriptions_says_so(flavour: Flavour, echo: Echo) -> None:
    class Plain(Multiplexer[F]):
        async def on_message(self, message: str | bytes, /) -> None: ...

    async with connected(flavour, echo) as ws:
        with pytest.raises(NotImplementedError, match="Plain has no subscriptions"):
            await Plain(ws).subscription("news").receive()


@promise
async def test_an_exchange_may_have_a_number_of_its_own_and_is_one_request(flavour: Flavour, peer: Peer) -> None:
    async with connected(flavour, peer) as ws:
        client = Client(ws)
        exchange = client.exchange("mine")
        async with exchange:
            assert client.deliver("mine", "a")
            assert await exchange.receive() == "a"
            with pytest.raises(ValueError, match="'mine' is open already"):
                await client.exchange("mine").__aenter__()
            client.finish_all(LookupError("on purpose"))
            with pytest.raises(LookupError, match="on purpose"):
                await exchange.receive()
            assert not client.finish("mine")
        with pytest.raises(RuntimeError, match="an exchange is one request"):
            await exchange.__aenter__()
