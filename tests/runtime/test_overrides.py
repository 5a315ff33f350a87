"""A flavour's classes are ordinary classes: subclassed with ``super()``, patched, mocked, called via the class."""

from __future__ import annotations

import contextlib
import inspect
from typing import Any, TypeVar, cast
from unittest import mock

import pytest

import polysocket
from polysocket import (
    Async,
    Backend,
    Blocking,
    LoggingBackend,
    PolymorphicClient,
    WebSocket,
    WebSocketHandler,
    blocking,
    polymorphic,
)
from polysocket._lifting import lifted
from polysocket.effects import Threaded
from polysocket.effects.threaded import ThreadedEffect
from polysocket.testing import BackendStub, EchoServer, WebSocketStub
from tests.runtime.flavours import Flavour, every_async_flavour, every_flavour

F = TypeVar("F")


@every_flavour
def test_a_websocket_is_an_instance_of_the_class_of_its_flavour(flavour: Flavour) -> None:
    assert type(flavour.websocket()) is flavour.websocket_class
    assert issubclass(flavour.websocket_class, WebSocket)

    def opened() -> Any:
        stub = BackendStub.of(flavour.tag).when_any_request().then_respond_web_socket()
        return stub.open_websocket("ws://localhost", WebSocketHandler())  # type: ignore[misc, unused-ignore]

    assert type(flavour.result(opened).result) is flavour.websocket_class


@every_flavour
def test_connect_returns_the_class_of_the_flavour(flavour: Flavour) -> None:
    with EchoServer() as server:
        if not flavour.is_async:
            with flavour.result(lambda: flavour.module.connect(server.url)) as ws:
                assert type(ws) is flavour.websocket_class
            return

        async def program() -> None:
            async with flavour.module.connect(server.url) as ws:
                assert type(ws) is flavour.websocket_class

        flavour.result(program)


@every_flavour
def test_a_method_may_be_called_via_any_class(flavour: Flavour) -> None:
    ws = flavour.websocket("a", "b")
    assert flavour.result(lambda: WebSocket.receive_text(ws, timeout=5)) == "a"
    assert flavour.result(lambda: flavour.websocket_class.receive_text(ws, timeout=5)) == "b"
    with pytest.raises(TypeError, match=r"^send_text\(\) takes a WebSocket first, not str$"):
        WebSocket.send_text("a", "b")  # type: ignore[call-overload]


@every_flavour
def test_an_override_calls_super_each_time(flavour: Flavour) -> None:
    calls: list[str] = []
    base = flavour.websocket_class

    if flavour.is_async:

        class Own(base):  # type: ignore[misc, valid-type]
            async def receive_text(self, *, pong_on_ping: bool = True, timeout: float | None = None) -> str:
                calls.append("before")
                return f"{await super().receive_text()}{await super().receive_text()}"

    else:

        class Own(base):  # type: ignore[misc, no-redef, valid-type]
            def receive_text(self, *, pong_on_ping: bool = True, timeout: float | None = None) -> Any:
                calls.append("before")
                first, second = super().receive_text(), super().receive_text()
                return flavour.result(lambda: first) + flavour.result(lambda: second)

    ws = flavour.websocket(*"abcdef")
    ws.__class__ = Own
    assert [flavour.result(ws.receive_text) for _ in range(3)] == ["ab", "cd", "ef"]
    assert calls == ["before"] * 3


@every_async_flavour
@pytest.mark.parametrize("how", ["subclass", "patch of the class", "patch of the common class", "mock of the object"])
def test_iteration_calls_an_override(flavour: Flavour, how: str) -> None:
    base = flavour.websocket_class

    class Own(base):  # type: ignore[misc, valid-type]
        async def receive_message(self, *, pong_on_ping: bool = True, timeout: float | None = None) -> str | bytes:
            return f"own {await super().receive_message()}"

    async def first() -> str | bytes:
        async for message in ws:
            return message
        raise AssertionError("there is no message")

    ws = flavour.websocket("a")
    received = mock.AsyncMock(return_value="mocked")
    with contextlib.ExitStack() as stack:
        if how == "subclass":
            ws.__class__ = Own
        elif how == "mock of the object":
            ws.receive_message = received
        else:
            stack.enter_context(
                mock.patch.object(base if "common" not in how else WebSocket, "receive_message", received)
            )
        assert flavour.result(first) == ("own a" if how == "subclass" else "mocked")


@pytest.mark.parametrize("how", ["subclass", "patch of the class", "patch of the common class", "mock of the object"])
@pytest.mark.parametrize("is_program", [False, True], ids=["mock", "program"])
def test_blocking_iteration_calls_an_override(how: str, is_program: bool) -> None:
    class Own(blocking.WebSocket):
        def receive_message(self, *, pong_on_ping: bool = True, timeout: float | None = None) -> str | bytes:
            return f"own {super().receive_message()!s}"

    async def receive_message(self: object) -> str | bytes:
        return "mocked"

    ws: Any = WebSocketStub.with_initial_incoming(["a"]).build(Blocking)
    received: Any = mock.Mock(return_value="mocked")
    with contextlib.ExitStack() as stack:
        if how == "subclass":
            ws.__class__ = Own
        elif how == "mock of the object":
            ws.receive_message = received
        elif how == "patch of the class":
            stack.enter_context(mock.patch.object(blocking.WebSocket, "receive_message", received))
        else:
            new = lifted(receive_message) if is_program else received
            stack.enter_context(mock.patch.object(WebSocket, "receive_message", new))
        assert next(iter(ws)) == ("own a" if how == "subclass" else "mocked")


@every_flavour
def test_an_override_of_a_backend_calls_super_each_time(flavour: Flavour) -> None:
    for base in (flavour.backend_class, LoggingBackend):
        calls: list[str] = []
        Own = own_backend(flavour, base, calls)  # noqa: N806
        backend = Own() if base is flavour.backend_class else Own(flavour.backend())
        for _ in range(3):
            flavour.result(backend.close)
        assert calls == ["close"] * 3


def own_backend(flavour: Flavour, base: Any, calls: list[str]) -> Any:
    if flavour.is_async:

        class Coroutines(base):  # type: ignore[misc]
            async def close(self) -> None:
                calls.append("close")
                await super().close()
                await super().close()

        return Coroutines

    class Plain(base):  # type: ignore[misc]
        def close(self) -> Any:
            calls.append("close")
            super().close()
            return super().close()

    return Plain


class Account(PolymorphicClient[F]):
    @polymorphic
    async def balance(self: Account[Async]) -> int:
        return int(await self.websocket.receive_text())


class Total(Account[F]):
    @polymorphic
    async def balance(self: Total[Async]) -> int:
        return await super().balance() + await super().balance()


@every_flavour
def test_an_override_of_a_client_calls_super_each_time(flavour: Flavour) -> None:
    total = Total(flavour.websocket(*"123456"))
    assert [flavour.result(total.balance) for _ in range(3)] == [3, 7, 11]


@every_flavour
def test_a_patch_affects_websockets_that_were_used_before(flavour: Flavour) -> None:
    ws = flavour.websocket("a", "b", "c", "d")
    assert flavour.result(ws.receive_text) == "a"
    patched = mock.AsyncMock if flavour.is_async else mock.Mock
    for target, left in ((WebSocket, "b"), (flavour.websocket_class, "c"), (ws, "d")):
        with mock.patch.object(target, "receive_text", patched(return_value="patched")):
            assert flavour.result(ws.receive_text) == "patched"
        assert flavour.result(ws.receive_text) == left
    assert "receive_text" in vars(flavour.websocket_class)


@every_flavour
def test_patches_of_the_common_class_and_of_the_class_of_the_flavour_may_overlap(flavour: Flavour) -> None:
    ws = flavour.websocket("a")
    common = mock.patch.object(WebSocket, "receive_text", mock.Mock(return_value="common"))
    own = mock.patch.object(flavour.websocket_class, "receive_text", mock.Mock(return_value="own"))
    with common:
        with own:
            assert ws.receive_text() == "own"
        assert ws.receive_text() == "common"
    with own, common:
        assert ws.receive_text() == "own"
    assert flavour.result(ws.receive_text) == "a"


@every_flavour
def test_a_patch_of_the_common_backend_takes_effect(flavour: Flavour) -> None:
    backend = flavour.backend()
    with mock.patch.object(Backend, "close", mock.Mock(return_value="patched")):
        assert backend.close() == "patched"
    assert flavour.result(backend.close) is None


@every_flavour
def test_a_patch_of_the_common_class_may_have_a_spec(flavour: Flavour) -> None:
    ws = flavour.websocket("a")
    with mock.patch.object(WebSocket, "receive_text", mock.Mock(spec=WebSocket.receive_text, return_value="patched")):
        assert ws.receive_text() == "patched"
    assert flavour.result(ws.receive_text) == "a"


@every_flavour
def test_a_program_that_is_patched_into_the_common_class_is_lifted(flavour: Flavour) -> None:
    ws, program = flavour.websocket("a"), inspect.getattr_static(WebSocket, "receive_message")
    with mock.patch.object(WebSocket, "receive_text", program):
        assert inspect.iscoroutinefunction(ws.receive_text) is flavour.is_async
        assert flavour.result(ws.receive_text) == "a"


@every_flavour
def test_create_autospec_has_awaitable_methods_if_the_flavour_does(flavour: Flavour) -> None:
    for name in ("send_text", "receive_text", "ping", "either"):
        spec = getattr(mock.create_autospec(flavour.websocket_class, instance=True), name)
        assert isinstance(spec, mock.AsyncMock) is flavour.is_async
    spec = mock.create_autospec(flavour.websocket_class, instance=True)
    assert isinstance(spec, cast("Any", WebSocket))
    with pytest.raises(TypeError, match="missing a required argument: 'text'"):
        spec.send_text()
    spec.receive_text.return_value = "a"
    assert flavour.result(lambda: spec.receive_text(timeout=5)) == "a"
    backend = mock.create_autospec(flavour.backend_class, instance=True)
    assert isinstance(backend.open_websocket, mock.AsyncMock) is flavour.is_async


@every_flavour
def test_async_mock_has_awaitable_methods_if_the_flavour_does(flavour: Flavour) -> None:
    ws = mock.AsyncMock(spec=flavour.websocket_class)
    assert isinstance(ws.receive_text, mock.AsyncMock) is flavour.is_async
    assert isinstance(ws.close, mock.AsyncMock) is flavour.is_async


class Loud(ThreadedEffect):
    """A custom flavour, whose calls return lists."""

    def lift(self, program: Any, /) -> Any:
        def call(*args: Any, **kwargs: Any) -> list[Any]:
            return [super(Loud, self).lift(program)(*args, **kwargs).result()]

        return call


def test_a_custom_flavour_needs_no_class() -> None:
    ws: Any = WebSocketStub.with_initial_incoming(["a", "b"]).build(Threaded, effect=Loud())
    assert type(ws) is cast("Any", WebSocket)
    assert ws.receive_text() == ["a"]
    assert WebSocket.receive_text(cast("Any", ws)) == ["b"]


def test_a_custom_flavour_may_have_a_class() -> None:
    class Louder(Loud):
        def lift(self, program: Any, /) -> Any:
            return super().lift(program)

    class LoudWebSocket(polysocket.WebSocket[Threaded], effect=Louder()):
        """A websocket whose methods return lists."""

    ws: Any = WebSocketStub.with_initial_incoming(["a"]).build(Threaded, effect=Louder())
    assert type(ws) is cast("Any", LoudWebSocket)
    assert list(inspect.signature(ws.receive_text).parameters) == ["pong_on_ping", "timeout"]
    assert ws.receive_text() == ["a"]
