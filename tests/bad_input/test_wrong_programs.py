"""Polymorphic programs that are called or written wrongly."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

from polysocket import (
    Async,
    Asyncio,
    Blocking,
    PolymorphicClient,
    Threaded,
    WebSocket,
    blocking,
    polymorphic,
)
from polysocket._lifting import wait_for_result
from polysocket.blocking import BlockingBackend
from polysocket.testing import WebSocketStub
from tests.bad_input.judgement import says
from tests.bad_input.peer import Peer, upgrading
from tests.interop.flavours import Flavour


@polymorphic
async def greet(ws: WebSocket[Async], name: str) -> None:
    await ws.send_text(f"Hello, {name}!")


class Greeter(PolymorphicClient[Blocking]):
    @polymorphic
    async def greet_loudly(self: Any, name: str) -> None:
        await greet(self.websocket, name.upper())


any_greet: Any = greet
any_greet_loudly: Any = Greeter.greet_loudly
websocket_stub: Any = WebSocketStub().build(Blocking)


@pytest.mark.parametrize(
    ("call", "given"),
    [
        (lambda: any_greet("me"), "not str"),
        (lambda: any_greet(None, "me"), "not NoneType"),
        (any_greet, ""),
        (lambda: any_greet(name="me"), ""),
        (lambda: any_greet(ws="me", name="me"), "by position"),
        (lambda: any_greet(BlockingBackend(), "me"), "not BlockingBackend"),
        (lambda: any_greet(PolymorphicClient(websocket_stub), "me"), "not PolymorphicClient, whose .websocket is one"),
        (
            lambda: any_greet_loudly(websocket_stub, "me"),
            "greet_loudly() takes a Greeter first, not WebSocket",
        ),
    ],
    ids=["another", "None", "nothing", "only its own", "by name", "a backend", "a client", "a method's websocket"],
)
def test_a_program_called_without_a_websocket_names_itself_and_its_first_argument(
    call: Callable[[], object], given: str
) -> None:
    with pytest.raises(TypeError) as caught:
        call()
    says(caught.value, "takes a ", " first", given)


def plain() -> None: ...


async def generator() -> AsyncIterator[str]:
    yield ""


@pytest.mark.parametrize("program", [plain, generator, lambda _: None, 5])
def test_a_program_that_is_not_a_coroutine_function_is_refused_when_it_is_decorated(program: Any) -> None:
    with pytest.raises(TypeError, match="a polymorphic program is an async def"):
        polymorphic(program)


def test_a_program_called_without_its_arguments_names_itself_and_them(flavour: Flavour) -> None:
    with Peer(upgrading()) as peer, pytest.raises(TypeError) as caught:
        flavour.open(peer.url, greet)
    assert str(caught.value) == "greet() missing 1 required positional argument: 'name'"


@polymorphic
async def wait_for_another_library(_: WebSocket[Async], something: Awaitable[None]) -> None:
    await something


class Yielding:
    def __await__(self) -> Iterator[None]:
        yield


anything: Any = Yielding()


def test_a_program_that_awaits_something_else_is_refused_in_the_blocking_flavour() -> None:
    with (
        Peer(upgrading()) as peer,
        blocking.connect(peer.url) as ws,
        pytest.raises(RuntimeError) as caught,
    ):
        wait_for_another_library(ws, anything)
    says(caught.value, "wait_for_another_library awaited", "may await only the websocket's methods")


class Waiter(PolymorphicClient[Any]):
    @polymorphic
    async def wait(self: Any, library: str) -> None:
        await importlib.import_module(library).sleep(0.01)


@polymorphic
async def wait_within(ws: WebSocket[Async], library: str) -> None:
    await wait_in(ws, library)


@polymorphic
async def wait_in(_: WebSocket[Async], library: str) -> None:
    await importlib.import_module(library).sleep(0.01)


LIBRARIES = [name for name in ("asyncio", "trio", "anyio") if importlib.util.find_spec(name) is not None]


@pytest.mark.parametrize("flavour", [Blocking, Threaded])
@pytest.mark.parametrize("library", LIBRARIES)
def test_a_program_that_awaits_the_sleep_of_a_library_is_told_of_the_effect(flavour: type[Any], library: str) -> None:
    ws: Any = WebSocketStub().build(flavour)
    for call, name in (
        (lambda: wait_in(ws, library), "wait_in"),
        (lambda: wait_within(ws, library), "wait_within"),
        (lambda: Waiter(ws).wait(library), "Waiter.wait"),
    ):
        with pytest.raises(RuntimeError) as caught:
            wait_for_result(call())
        says(caught.value, f"{name} awaited {library}.sleep(), which is not of its flavour", "ws.effect has (sleep, ")


async def take_twice(lock: asyncio.Lock) -> None:
    await lock.acquire()
    await lock.acquire()


async def wait_for_change(condition: asyncio.Condition) -> None:
    async with condition:
        await condition.wait()


async def open_nursery() -> None:
    async with importlib.import_module("trio").open_nursery():
        pass


async def open_client_session() -> None:
    importlib.import_module("aiohttp").ClientSession()


async def ask_for_the_loop() -> None:
    asyncio.get_running_loop()


FOREIGN: dict[str, tuple[Callable[[], Awaitable[object]], str]] = {
    "Queue": (lambda: asyncio.Queue[str]().get(), "asyncio.Queue.get()"),
    "Event": (lambda: asyncio.Event().wait(), "asyncio.Event.wait()"),
    "Lock": (lambda: take_twice(asyncio.Lock()), "asyncio.Lock.acquire()"),
    "Condition": (lambda: wait_for_change(asyncio.Condition()), "asyncio.Condition.wait()"),
    "Semaphore": (lambda: asyncio.Semaphore(0).acquire(), "asyncio.Semaphore.acquire()"),
    "nursery": (open_nursery, "trio.open_nursery()"),
    "aiohttp": (open_client_session, "aiohttp.ClientSession()"),
    "loop": (ask_for_the_loop, "asyncio.get_running_loop()"),
}


@pytest.mark.parametrize("flavour", [Blocking, Threaded])
@pytest.mark.parametrize(("call", "awaited"), FOREIGN.values(), ids=FOREIGN)
def test_a_program_that_awaits_something_of_a_library_is_told_what(
    flavour: type[Any], call: Callable[[], Awaitable[object]], awaited: str
) -> None:
    pytest.importorskip(awaited.partition(".")[0])
    with pytest.raises(RuntimeError) as caught:
        wait_for_result(wait_for_call(WebSocketStub().build(flavour), call))
    says(caught.value, f"wait_for_call awaited {awaited}", "which is not of its flavour")
    assert caught.value.__cause__ is not None


@polymorphic
async def wait_for_call(_: WebSocket[Async], call: Callable[[], Awaitable[object]]) -> None:
    await call()


@pytest.mark.parametrize("flavour", [Blocking, Threaded])
def test_an_attribute_error_of_a_program_is_raised_as_it_is(flavour: type[Any]) -> None:
    async def misspell() -> None:
        anything.no_such_attribute()

    with pytest.raises(AttributeError, match="no_such_attribute"):
        wait_for_result(wait_for_call(WebSocketStub().build(flavour), misspell))


@polymorphic
async def raise_error(_: WebSocket[Async]) -> None:
    raise RuntimeError("my own")


def test_a_runtime_error_of_a_program_is_raised_as_it_is() -> None:
    with pytest.raises(RuntimeError, match=r"^my own$"):
        raise_error(WebSocketStub().build(Blocking))


def test_the_sleep_of_a_library_in_its_own_flavour_is_awaited() -> None:
    async def main() -> None:
        await wait_in(WebSocketStub().build(Asyncio), "asyncio")

    asyncio.run(main())


@pytest.mark.parametrize("flavour", [Blocking, Threaded])
def test_the_effect_of_a_blocking_websocket_outside_of_a_program_is_refused(flavour: type[Any]) -> None:
    ws: Any = WebSocketStub().build(flavour)
    with pytest.raises(AttributeError, match="effect is for polymorphic programs"):
        ws.effect  # noqa: B018 - the attribute raises


def test_a_function_that_returns_no_future_is_named_in_the_threaded_flavour() -> None:
    ws: Any = WebSocketStub.with_initial_incoming(["a"]).build(Threaded)
    for method in (ws.either, ws.either_close):
        with pytest.raises(TypeError, match=r"a function of polysocket\.threaded returns a Future, not int"):
            method(lambda: 1).result()
    ws.close().result()
