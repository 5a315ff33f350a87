"""A client class with polymorphic methods keeps its state in every flavour."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any, TypeVar

import pytest

from polysocket import Async, Blocking, Threaded, WebSocket, blocking, polymorphic, threaded
from polysocket import asyncio as polysocket_asyncio
from polysocket._lifting import wait_for_result
from polysocket.polymorphic import PolymorphicClient
from polysocket.testing import EchoServer, WebSocketStub
from tests.leaks import nothing_left_behind

F = TypeVar("F")


class Chat(PolymorphicClient[F]):
    """A client that counts its messages."""

    def __init__(self, websocket: WebSocket[F], name: str) -> None:
        super().__init__(websocket)
        self.name = name
        self.said = 0

    @polymorphic
    async def say(self: Chat[Async], text: str, *, loud: bool = False) -> str:
        """Say something, and return the echo."""
        self.said += 1
        self.last = text
        await self.websocket.send_text(f"{self.name}: {text.upper() if loud else text}")
        return await self.websocket.receive_text()

    @polymorphic
    async def say_all(self: Chat[Async], *texts: str) -> list[str]:
        return [await self.say(text, loud=True) for text in texts]

    @polymorphic
    async def fail(self: Chat[Async]) -> None:
        await self.say("before")
        raise LookupError("on purpose")


class Polite(Chat[F]):
    @polymorphic
    async def greet(self: Polite[Async]) -> str:
        return await self.say("Hello")


@pytest.fixture
def url() -> Iterator[str]:
    with nothing_left_behind(), EchoServer() as server:
        yield server.url


def test_the_methods_of_a_client_block_if_those_of_the_websocket_do(url: str) -> None:
    with blocking.connect(url) as ws:
        chat = Polite(ws, "me")
        assert chat.websocket is ws
        assert chat.say("a") == "me: a"
        chat.name = "you"
        assert chat.say_all("b", "c") == ["you: B", "you: C"]
        assert chat.greet() == "you: Hello"
        assert Chat.say(chat, "d") == "you: d"
        with pytest.raises(LookupError, match="on purpose"):
            chat.fail()
        assert (chat.said, chat.last) == (6, "before")
        assert chat.say.__doc__ == "Say something, and return the echo."


def test_the_methods_of_a_client_return_futures_if_those_of_the_websocket_do(url: str) -> None:
    with threaded.connect(url).result() as ws:
        chat = Chat(ws, "me")
        said = chat.say("a", loud=True)
        assert isinstance(said, Future)
        assert said.result() == "me: A"
        assert chat.say_all("b", "c").result() == ["me: B", "me: C"]
        assert chat.said == 3


def test_the_methods_of_a_client_are_awaited_if_those_of_the_websocket_are(url: str) -> None:
    async def main() -> None:
        async with polysocket_asyncio.connect(url) as ws:
            chat = Polite(ws, "me")
            assert await chat.say_all("a", "b") == ["me: A", "me: B"]
            assert await chat.greet() == "me: Hello"
            assert (chat.said, chat.last) == (3, "Hello")

    asyncio.run(main())


@pytest.mark.parametrize("flavour", [Blocking, Threaded])
def test_a_second_websocket_cannot_be_awaited_if_calls_return_no_coroutines(flavour: type[Any]) -> None:
    @polymorphic
    async def hand_on(ws: WebSocket[Async], other: WebSocket[Async]) -> None:
        await other.send_text(await ws.receive_text())

    stub = WebSocketStub.with_initial_incoming(["a text"])
    with (
        stub.build(flavour) as ws,
        stub.build(flavour) as other,
        pytest.raises(TypeError, match="await"),
    ):
        wait_for_result(hand_on(ws, other))


def test_a_wrong_client_is_refused_with_the_reason(url: str) -> None:
    class NoClient:
        @polymorphic
        async def say(self, text: str) -> None: ...

    with pytest.raises(TypeError, match=r"NoClient\.say\(\) is polymorphic, so NoClient must be a PolymorphicClient"):
        NoClient().say("a")  # type: ignore[call-overload]
    with pytest.raises(TypeError, match=r"Chat\(\) takes a WebSocket, not str"):
        Chat(url, "me")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="Slotted has __slots__, which"):

        class Slotted(PolymorphicClient[F]):
            __slots__ = ("said",)
