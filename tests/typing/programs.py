"""Right use of polymorphic programs and clients in each flavour, for mypy and pyright to check; it never runs."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar, assert_type

from polysocket import (
    Async,
    Asyncio,
    BackgroundProgram,
    Blocking,
    Close,
    CloseCode,
    Frame,
    Threaded,
    Trio,
    WebSocket,
    polymorphic,
)
from polysocket.multiplexing import Multiplexer, Subscription
from polysocket.polymorphic import PolymorphicClient

F = TypeVar("F")


@polymorphic
async def login(ws: WebSocket[Async], user: str, *, token: str | None = None) -> int:
    await ws.send_text(f"{user} {token}")
    assert_type(await ws.receive_text(), str)
    assert_type(await ws.either_close(ws.receive_text), str | Close)
    async for message in ws:
        assert_type(message, str | bytes)
    return len(await ws.receive_binary())


@polymorphic
async def receive_all(ws: WebSocket[Async], count: int = 1) -> dict[str, list[Frame | Close]]:
    assert_type(await login(ws, "me"), int)  # a program within another
    return {"received": [await ws.receive() for _ in range(count)]}


@polymorphic
async def refuse(ws: WebSocket[Async], reason: str) -> None:
    await ws.close(CloseCode.POLICY_VIOLATION, reason)
    raise PermissionError(reason)


@polymorphic
async def submit(ws: WebSocket[Async], /, form: str, **fields: str) -> int:
    await ws.send_text(form + str(fields))
    return len(fields)


@polymorphic
async def hand_on(ws: WebSocket[Async], other: WebSocket[Async]) -> None:
    await other.send_text(await ws.receive_text())


def polymorphic_in_the_blocking_flavour(ws: WebSocket[Blocking]) -> None:
    assert_type(submit(ws, "form", ws="any name", name="me"), int)
    assert_type(login(ws, "me"), int)
    assert_type(login(ws, user="me", token="secret"), int)
    assert_type(receive_all(ws), dict[str, list[Frame | Close]])
    assert_type(receive_all(ws, count=2), dict[str, list[Frame | Close]])
    assert_type(refuse(ws, "no"), None)


async def polymorphic_in_the_async_flavours(asyncio: WebSocket[Asyncio], trio: WebSocket[Trio]) -> None:
    await assert_type(login(asyncio, "me"), Coroutine[Any, Any, int])
    assert_type(await login(asyncio, "me", token="secret"), int)
    assert_type(await login(trio, user="me"), int)
    assert_type(await submit(trio, "form", name="me"), int)
    assert_type(await hand_on(asyncio, asyncio), None)  # only the async flavours allow a second websocket
    assert_type(await receive_all(trio, 2), dict[str, list[Frame | Close]])
    assert_type(await refuse(trio, reason="no"), None)


def polymorphic_in_the_threaded_flavour(ws: WebSocket[Threaded]) -> None:
    assert_type(login(ws, "me"), Future[int])
    assert_type(submit(ws, "form", name="me"), Future[int])
    assert_type(receive_all(ws).result(), dict[str, list[Frame | Close]])


def programs_are_values(blocking: WebSocket[Blocking]) -> int:
    programs: dict[str, polymorphic[[str], None]] = {"refuse": refuse}
    programs["refuse"](blocking, "no")
    run: Callable[[WebSocket[Blocking], str], int] = login
    return run(blocking, "me")


# A class whose methods are polymorphic


class Account(PolymorphicClient[F]):
    def __init__(self, websocket: WebSocket[F], user: str) -> None:
        super().__init__(websocket)
        self.user = user
        self.balances: list[int] = []

    @polymorphic
    async def balance(self: Account[Async], *, currency: str = "EUR") -> int:
        assert_type(self.websocket, WebSocket[Async])
        self.balances.append(await login(self.websocket, self.user))
        return self.balances[-1]

    @polymorphic
    async def rows(self: Account[Async], count: int = 1) -> dict[str, list[int]]:
        return {self.user: [assert_type(await self.balance(), int) for _ in range(count)]}


def polymorphic_methods(blocking: WebSocket[Blocking], threaded: WebSocket[Threaded]) -> None:
    account = Account(blocking, "me")
    assert_type(account, Account[Blocking])
    assert_type(account.websocket, WebSocket[Blocking])
    assert_type(account.balance(currency="CHF"), int)
    assert_type(account.rows(2), dict[str, list[int]])
    assert_type(Account.rows(account, count=2), dict[str, list[int]])
    assert_type(Account(threaded, "me").balance(), Future[int])
    assert_type(Account(threaded, "me").rows().result(), dict[str, list[int]])
    balance: Callable[[], int] = account.balance
    assert_type(balance(), int)


async def polymorphic_methods_in_the_async_flavours(asyncio: WebSocket[Asyncio], trio: WebSocket[Trio]) -> None:
    await assert_type(Account(asyncio, "me").balance(), Coroutine[Any, Any, int])
    assert_type(await Account(trio, "me").rows(count=2), dict[str, list[int]])
    account: PolymorphicClient[Async] = Account(trio, "me")
    assert_type(account.websocket, WebSocket[Async])


# Waiting, and many requests on one websocket


@polymorphic
async def wait(ws: WebSocket[Async], seconds: float) -> str:
    await ws.effect.sleep(seconds)
    event = ws.effect.event()
    event.set()
    await event.wait()
    assert_type(ws.effect.spawn(lambda: login(ws, "me")), BackgroundProgram[int])
    async with ws.effect.time_limit(seconds):
        return assert_type(await ws.effect.spawn(ws.receive_text).result(), str)


class Rates(Multiplexer[F]):
    @polymorphic
    async def rate(self: Rates[Async], currency: str, *, timeout: float | None = None) -> float:
        async with self.exchange() as exchange:
            await self.websocket.send_json([exchange.number, currency])
            return float(await exchange.receive(timeout=timeout))

    def rates(self, currency: str) -> Subscription[F, float]:
        return self.subscription(currency)

    async def on_subscribe(self: Rates[Async], number: int, request: str, /) -> None:
        await self.websocket.send_json([number, request])

    async def on_message(self: Rates[Async], message: str | bytes, /) -> None:
        self.deliver(int(message), 1.5)


def multiplexing(blocking: WebSocket[Blocking], threaded: WebSocket[Threaded]) -> None:
    rates = Rates(blocking)
    assert_type(rates.rate("EUR", timeout=1), float)
    with assert_type(rates.rates("EUR"), Subscription[Blocking, float]) as subscription:
        assert_type(subscription.receive(), float)
        for rate in subscription:
            assert_type(rate, float)
    with Rates(threaded).rates("EUR") as of_threads:
        assert_type(of_threads.receive(timeout=1), Future[float])
        for rate in of_threads:
            assert_type(rate, float)
    assert_type(Rates(threaded).rate("EUR"), Future[float])


async def multiplexing_in_the_async_flavours(asyncio: WebSocket[Asyncio], trio: WebSocket[Trio]) -> None:
    assert_type(await Rates(trio).rate("EUR"), float)
    async with Rates(asyncio).rates("EUR") as subscription:
        assert_type(await subscription.receive(), float)
        async for rate in subscription:
            assert_type(rate, float)
    await asyncio.effect.sleep(1)


# either, for every kind of call


async def either_in_every_flavour(
    blocking: WebSocket[Blocking], asyncio: WebSocket[Asyncio], threaded: WebSocket[Threaded]
) -> None:
    assert_type(blocking.either(lambda: login(blocking, "me")), int | Close | None)
    assert_type(blocking.either_close(lambda: blocking.receive_text(timeout=1)), str | Close)
    assert_type(await asyncio.either(lambda: login(asyncio, "me")), int | Close | None)
    assert_type(await asyncio.either_close(lambda: asyncio.receive_text(timeout=1)), str | Close)
    assert_type(threaded.either(lambda: login(threaded, "me")), Future[int | Close | None])
