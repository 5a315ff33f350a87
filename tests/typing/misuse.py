"""Misuse that must be an error in mypy and in pyright; this code never runs.

Each wrong line has a comment for each checker that names the rule. In strict mode an unnecessary comment is an error
itself, so both checkers find an error in exactly these lines.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TypeVar, assert_never

import polysocket.asyncio
import polysocket.blocking
import polysocket.trio
from polysocket import (
    Async,
    Asyncio,
    Backend,
    Backoff,
    Blocking,
    Close,
    Deflate,
    Frame,
    Ping,
    PolymorphicClient,
    Proxy,
    Text,
    Threaded,
    Trio,
    WebSocket,
    WebSocketClosed,
    basic_request,
    polymorphic,
)
from polysocket.multiplexing import Subscription
from polysocket.testing import BackendStub

F = TypeVar("F")

# The result of one flavour, used as that of another


async def await_plain_values(ws: WebSocket[Blocking]) -> None:
    await ws.receive_text()  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    await ws.ping()  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    await ws.send_text("a")  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    await ws.close()  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    await polysocket.blocking.connect("ws://localhost")  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]


async def forget_to_await(ws: WebSocket[Asyncio]) -> None:
    ws.receive_text().upper()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    ws.send_text("a")  # type: ignore[unused-coroutine]  # pyright: ignore[reportUnusedCoroutine]
    ws.close()  # type: ignore[unused-coroutine]  # pyright: ignore[reportUnusedCoroutine]
    round_trip: float = ws.ping()  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    print(round_trip)
    if ws.receive_text() == "a":  # type: ignore[comparison-overlap]  # pyright: ignore[reportUnnecessaryComparison]
        print("never")
    await polysocket.asyncio.connect("ws://localhost").send_text("a")  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]


async def forget_to_await_in_trio(ws: WebSocket[Trio]) -> str:
    ws.receive_binary().hex()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    ws.send(Text("a"))  # type: ignore[unused-coroutine]  # pyright: ignore[reportUnusedCoroutine]
    return ws.receive_text()  # type: ignore[return-value]  # pyright: ignore[reportReturnType]


async def a_method_via_a_class(blocking: WebSocket[Blocking], asyncio: polysocket.asyncio.WebSocket) -> str:
    WebSocket.send_text("a", "b")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await WebSocket.send_text(blocking, "a")  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    polysocket.blocking.WebSocket.send_text(asyncio, "a")  # type: ignore[unused-coroutine]  # pyright: ignore[reportUnusedCoroutine]
    return WebSocket.receive_text(asyncio)  # type: ignore[return-value]  # pyright: ignore[reportReturnType]


def forget_the_result_of_a_future(ws: WebSocket[Threaded]) -> None:
    ws.receive_text().upper()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    round_trip: float = ws.ping()  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    print(round_trip)


# The wrong with and for


def with_an_asynchronous_websocket(ws: WebSocket[Asyncio]) -> None:
    with ws:  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
        pass
    with polysocket.asyncio.connect("ws://localhost"):  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues]
        pass
    with polysocket.trio.connect("ws://localhost"):  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues]
        pass
    for _ in ws:  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues, reportUnknownVariableType]
        pass


async def async_with_a_blocking_websocket(ws: WebSocket[Blocking]) -> None:
    async with ws:  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
        pass
    async with polysocket.blocking.connect("ws://localhost"):  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
        pass
    async for _ in ws:  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues, reportUnknownVariableType]
        pass


def a_threaded_websocket_has_no_iteration(ws: WebSocket[Threaded]) -> None:
    for _ in ws:  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues, reportUnknownVariableType]
        pass
    ws.messages()  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    ws.receive_fragments()  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]


def a_blocking_websocket_awaits_no_parts(ws: WebSocket[Blocking], parts: AsyncIterator[str]) -> None:
    ws.send_fragments(parts)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ws.send_fragments([1])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def the_wrong_with_of_a_backend(blocking: Backend[Blocking], threaded: Backend[Threaded]) -> None:
    with polysocket.asyncio.AsyncioBackend():  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
        pass
    with BackendStub.trio():  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
        pass
    async with blocking:  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
        pass
    async with threaded:  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
        pass
    async with BackendStub.blocking():  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
        pass


# Options


async def wrong_options() -> None:
    polysocket.blocking.connect("ws://localhost", max_size=1000)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    polysocket.blocking.connect("ws://localhost", timeout=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await polysocket.asyncio.connect("ws://localhost", additional_headers={"X-A": "1"})  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await polysocket.trio.connect("ws://localhost", protocols=["chat"])  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    polysocket.blocking.connect("ws://localhost", compression=True)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await polysocket.asyncio.connect("ws://localhost", compression="deflate")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await polysocket.trio.connect("ws://localhost", open_timeout="5")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    polysocket.blocking.connect("ws://localhost", max_message_size=1.5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await polysocket.asyncio.connect("ws://localhost", ssl=True)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await polysocket.trio.connect("ws://localhost", sock=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    polysocket.blocking.connect("ws://localhost", unix_path=b"/run/server")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    polysocket.blocking.connect(b"ws://localhost")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    polysocket.blocking.connect(url_or_request="ws://localhost")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    polysocket.blocking.connect()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


# Arguments


def wrong_frames(ws: WebSocket[Blocking]) -> None:
    ws.send("a")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ws.send(b"a")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ws.send(Text(b"a"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ws.send(Ping("a"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ws.send(Close("1000"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ws.send(Text)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ws.send_text(b"a")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ws.send_binary("a")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ws.ping("a")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ws.pong("a")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ws.close("bye")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ws.close(1000, b"bye")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def wrong_arguments(ws: WebSocket[Asyncio]) -> None:
    await ws.receive_text(5)  # type: ignore[arg-type, call-arg]  # pyright: ignore[reportCallIssue]
    await ws.receive_text(time_out=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await ws.receive(timeout="5")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await ws.send_text()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await ws.send_text("a", "b")  # type: ignore[arg-type, call-arg]  # pyright: ignore[reportCallIssue]
    await ws.send(Text("a"), continuation=True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await ws.ping(b"a", 5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


# Polymorphic programs


@polymorphic
async def login(ws: WebSocket[Async], user: str, *, token: str = "") -> int:
    await ws.send_text(user + token)
    return 5


def wrong_arguments_of_a_program(ws: WebSocket[Blocking]) -> None:
    login(ws)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    login(ws, 5)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    login(ws, "me", "secret")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    login(ws, name="me")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    login(ws, "me", token=5)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    login("me")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    login(basic_request, "me")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    login(ws=ws, user="me")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]


class Account(PolymorphicClient[F]):
    @polymorphic
    async def balance(self: Account[Async]) -> None:
        await login(self, "me")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]


def no_websocket_for_a_program(ws: WebSocket[Blocking], backend: Backend[Blocking]) -> None:
    login(backend, "me")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    login(Account(ws), "me")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    Account.balance(ws)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]


@polymorphic
async def hand_on(ws: WebSocket[Async], other: WebSocket[Async]) -> None:
    await other.send_text(await ws.receive_text())


async def a_second_websocket_for_a_program(blocking: WebSocket[Blocking], threaded: WebSocket[Threaded]) -> None:
    hand_on(blocking, blocking)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]
    hand_on(threaded, threaded)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]


async def wrong_results_of_a_program(blocking: WebSocket[Blocking], asyncio: WebSocket[Asyncio]) -> None:
    await login(blocking, "me")  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    login(asyncio, "me")  # type: ignore[unused-coroutine]  # pyright: ignore[reportUnusedCoroutine]
    number: int = login(asyncio, "me")  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    text: str = login(blocking, "me")  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    print(number, text)


@polymorphic
async def forgetful(ws: WebSocket[Async]) -> str:
    ws.send_text("a")  # type: ignore[unused-coroutine]  # pyright: ignore[reportUnusedCoroutine]
    login(ws, "me")  # type: ignore[unused-coroutine]  # pyright: ignore[reportUnusedCoroutine]
    with ws:  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
        pass
    return ws.receive_text()  # type: ignore[return-value]  # pyright: ignore[reportReturnType]


@polymorphic  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
def not_a_coroutine_function(ws: WebSocket[Async]) -> str:
    return "a"


# either


async def wrong_calls_of_either(blocking: WebSocket[Blocking], asyncio: WebSocket[Asyncio]) -> None:
    blocking.either(blocking.receive_text())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    blocking.either(blocking.send_text)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    text: str = blocking.either_close(blocking.receive_text)  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    await asyncio.either(asyncio.receive_text())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await asyncio.either(blocking.receive_text)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    other: str = await asyncio.either_close(asyncio.receive_text)  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    print(text, other)


# reconnect


async def wrong_loops(url: str) -> None:
    async for _ in polysocket.asyncio.connect(url):  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues, reportUnknownVariableType]
        pass
    for _ in polysocket.asyncio.reconnect(url):  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues, reportUnknownVariableType]
        pass
    async for _ in polysocket.blocking.reconnect(url):  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues, reportUnknownVariableType]
        pass
    async for message in polysocket.trio.reconnect(url).messages():
        message.upper()  # type: ignore[union-attr]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    with polysocket.trio.reconnect(url):  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
        pass
    polysocket.asyncio.reconnect(url, on_open=print)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    polysocket.asyncio.reconnect(url, policy=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    polysocket.blocking.reconnect(url, is_final=WebSocketClosed)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    polysocket.blocking.reconnect(url, backoff=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Backoff().initial = 5  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


# Values


def wrong_values(ws: WebSocket[Blocking]) -> None:
    basic_request.get(b"ws://localhost")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    basic_request.header("X-A", 5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    basic_request.subprotocol(["chat"])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    basic_request.bearer_auth(None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    basic_request.timeouts(open="5")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    basic_request.compress(True)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Deflate(level="9")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Proxy("http://localhost", ssl=True)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Proxy("http://localhost").url = "http://other"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    polysocket.blocking.connect("ws://localhost", proxy=True)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ws.is_open = False  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    ws.response.status = 200  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    Text("a").payload = "b"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    ws.receive_text().decode()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]


def not_every_frame(frame: Frame | Close) -> str:
    match frame:
        case Text(payload):
            return payload
        case _:
            assert_never(frame)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# The effect of programs, in a flavour of threads


def wait_outside_of_a_program(ws: WebSocket[Blocking]) -> None:
    ws.effect.now()  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]


def subscribe_in_the_wrong_flavour(subscription: Subscription[Asyncio, str]) -> None:
    with subscription:  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
        print("never")
