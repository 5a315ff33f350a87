"""Closing a backend waits until its listeners were told of the end, but never for the callback that closes it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from polysocket import Close, CloseInfo, ConnectionLost, Ping, Text, WebSocket, basic_request
from polysocket.testing.contract import wire
from polysocket.testing.contract.places import Peer
from polysocket.testing.contract.wire import Wire
from tests.backends.flavours import ASYNC, Flavour, a_backend, opened, seen
from tests.backends.listening import Recorder, calls_to_the_end
from tests.backends.peers import text
from tests.backends.recording import WatchedSet

in_async_flavours = pytest.mark.parametrize("flavour", ASYNC, indirect=True)


# Closing waits for on_close


async def test_on_close_has_returned_when_the_with_block_ends(flavour: Flavour, peer: Peer) -> None:
    infos: list[CloseInfo] = []

    class Last(Recorder):
        def on_close(self, info: CloseInfo) -> object:
            infos.append(info)
            return None

    async with a_backend(flavour) as backend:
        await opened(flavour, backend, peer.url, Last(flavour.inbox()))
        finishing = flavour.spawn(flavour.call, peer.finish)
    count = len(infos)
    await finishing.result()
    assert count == 1


@in_async_flavours
@pytest.mark.parametrize("closes_first", ["the client", "the peer"])
async def test_an_async_on_close_has_returned_when_the_with_block_ends(
    flavour: Flavour, peer: Peer, closes_first: str
) -> None:
    infos: list[CloseInfo] = []
    begun = flavour.inbox()

    class Last(Recorder):
        async def on_close(self, info: CloseInfo) -> None:
            begun.put(None)
            await flavour.nothing_left_to_do()
            infos.append(info)

    async with a_backend(flavour) as backend:
        await opened(flavour, backend, peer.url, Last(flavour.inbox()))
        if closes_first == "the peer":
            peer.send(wire.close())
        finishing = flavour.spawn(flavour.call, peer.finish)
        if closes_first == "the peer":
            await begun.get()
    count = len(infos)
    await finishing.result()
    await flavour.nothing_left_to_do()
    assert count == 1


@pytest.mark.parametrize("way", ["closes", "fails"])
async def test_on_close_has_returned_when_the_with_block_ends_even_if_on_open_closed_or_failed(
    flavour: Flavour, peer: Peer, way: str
) -> None:
    class Ends(Recorder):
        def on_open(self, ws: WebSocket[Any]) -> object:
            if way == "fails":
                raise LookupError("on purpose")
            return flavour.finished(ws.close())

    calls: list[object] = []
    listener = Ends(flavour.inbox())
    listener.calls.put = calls.append  # type: ignore[method-assign]
    finishing = flavour.spawn(flavour.call, peer.finish)
    async with a_backend(flavour) as backend:
        await opened(flavour, backend, peer.url, listener)
    await finishing.result()
    assert isinstance(calls[-1], CloseInfo)


async def test_a_backend_waits_for_on_close_at_most_for_the_close_timeout(
    flavour: Flavour, new_peer: Callable[..., Peer], caplog: pytest.LogCaptureFixture
) -> None:
    has_left = threading.Event()
    late = flavour.inbox()

    class Endless(Recorder):
        def on_close(self, info: CloseInfo) -> object:
            if flavour.is_async:
                return self.record_late(info)
            has_left.wait(5)
            return self.record(info)

        async def record_late(self, info: CloseInfo) -> None:
            await late.get()
            self.record(info)

    listeners = [Endless(flavour.inbox()) for _ in range(2)]
    async with a_backend(flavour, request=basic_request.timeouts(open=5, close=0.2)) as backend:
        for listener in listeners:
            await opened(flavour, backend, new_peer().url, listener)
            assert await listener.calls.get() == "open"
    has_left.set()
    for _ in listeners:
        late.put(None)
    for listener in listeners:
        assert isinstance(await listener.calls.get(), ConnectionLost)
        assert isinstance(await listener.calls.get(), CloseInfo)
    assert [record.levelname for record in caplog.records if record.name == "polysocket"] == ["WARNING"] * 2
    await flavour.nothing_left_to_do()


async def test_a_backend_forgets_a_websocket_after_on_close(flavour: Flavour, peer: Peer) -> None:
    listener = Recorder(flavour.inbox())
    forgotten = flavour.inbox()
    async with a_backend(flavour) as backend:
        backend._connector._open_sessions.sessions = WatchedSet(forgotten.put)
        await opened(flavour, backend, peer.url, listener)
        peer.send(wire.close())
        peer.hang_up()
        await calls_to_the_end(listener)
        await forgotten.get()
        assert not backend._connector._open_sessions.sessions


# A method closes the backend


async def test_a_method_may_close_the_backend(flavour: Flavour, peer: Peer) -> None:
    class Closing(Recorder):
        def on_text(self, frame: Text) -> object:
            return flavour.finished(backend.close())

    backend = flavour.backend()
    listener = Closing(flavour.inbox())
    async with flavour.entered(backend):
        ws = await opened(flavour, seen(flavour, backend), peer.url, listener)
        peer.send(text("a"))
        assert await flavour.call(peer.finish) == [Wire(wire.CLOSE, b"\x03\xe8")]
        assert await listener.calls.get() == "open"
        assert (await listener.calls.get()).received == Close(1000)
        assert not ws.is_open


@in_async_flavours
async def test_a_method_may_wait_for_a_task_that_closes_the_backend(
    flavour: Flavour, peer: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    class Closing(Recorder):
        async def on_text(self, frame: Text) -> None:
            await flavour.spawn(seen(flavour, backend).close).result()

    backend = flavour.backend(request=basic_request.timeouts(open=5, close=0.2))
    listener = Closing(flavour.inbox())
    async with flavour.entered(backend):
        await opened(flavour, seen(flavour, backend), peer.url, listener)
        peer.send(text("a"))
        assert await flavour.call(peer.finish) == [Wire(wire.CLOSE, b"\x03\xe8")]
    assert await listener.calls.get() == "open"
    assert (await listener.calls.get()).received == Close(1000)
    assert not [record for record in caplog.records if record.name == "polysocket"]


async def test_a_task_that_outlives_its_method_waits_for_the_listener(flavour: Flavour, peer: Peer) -> None:
    go_on, tasks = flavour.inbox(), flavour.inbox()

    async def close_later() -> None:
        await go_on.get()
        await seen(flavour, backend).close()
        listener.calls.put("left")

    class Starting(Recorder):
        def on_text(self, frame: Text) -> object:
            return tasks.put(flavour.spawn(close_later))

        def on_close(self, info: CloseInfo) -> object:
            return self.record_late(info) if flavour.is_async else self.record(info)

        async def record_late(self, info: CloseInfo) -> None:
            await flavour.nothing_left_to_do()
            self.record(info)

    backend = flavour.backend()
    listener = Starting(flavour.inbox())
    async with flavour.entered(backend):
        await opened(flavour, seen(flavour, backend), peer.url, listener)
        peer.send(text("a"))
        task = await tasks.get()
        peer.send(wire.encode(wire.PING))
        assert [await listener.calls.get() for _ in range(2)] == ["open", Ping()]
        go_on.put(None)
        finishing = flavour.spawn(flavour.call, peer.finish)
        await task.result()
        await finishing.result()
        assert isinstance(await listener.calls.get(), CloseInfo)
        assert await listener.calls.get() == "left"


async def test_a_method_that_closes_the_backend_waits_for_the_other_listeners(
    flavour: Flavour, new_peer: Callable[..., Peer]
) -> None:
    class Closing(Recorder):
        def on_text(self, frame: Text) -> object:
            if flavour.is_async:
                return self.close()
            flavour.finished(backend.close())
            order.append("closed")
            return None

        async def close(self) -> None:
            await backend.close()
            order.append("closed")

    class Slow(Recorder):
        def on_close(self, info: CloseInfo) -> object:
            if flavour.is_async:
                return self.record_late()
            order.append("on_close")
            return None

        async def record_late(self) -> None:
            await go_on.get()
            order.append("on_close")

    order: list[str] = []
    go_on = flavour.inbox()
    peers = [new_peer(), new_peer()]
    backend = flavour.backend()
    closing = Closing(flavour.inbox())
    async with flavour.entered(backend):
        await opened(flavour, seen(flavour, backend), peers[0].url, closing)
        await opened(flavour, seen(flavour, backend), peers[1].url, Slow(flavour.inbox()))
        finishing = [flavour.spawn(flavour.call, peer.finish) for peer in peers]
        peers[0].send(text("a"))
        for task in finishing:
            await task.result()
        await flavour.nothing_left_to_do()
        go_on.put(None)
        await calls_to_the_end(closing)
    assert order == ["on_close", "closed"]


async def test_two_listeners_that_close_the_backend_do_not_wait_for_each_other(
    flavour: Flavour, new_peer: Callable[..., Peer], caplog: pytest.LogCaptureFixture
) -> None:
    both = threading.Barrier(2)
    waiting: list[None] = []

    async def close_with_the_other() -> None:
        waiting.append(None)
        while len(waiting) < 2:
            await flavour.nothing_left_to_do()
        await seen(flavour, backend).close()

    class Closing(Recorder):
        def on_text(self, frame: Text) -> object:
            if flavour.is_async:
                return close_with_the_other()
            both.wait(5)
            return flavour.finished(backend.close())

    peers = [new_peer(), new_peer()]
    backend = flavour.backend(request=basic_request.timeouts(open=5, close=0.2))
    listeners = [Closing(flavour.inbox()), Closing(flavour.inbox())]
    async with flavour.entered(backend):
        for peer, listener in zip(peers, listeners, strict=True):
            await opened(flavour, seen(flavour, backend), peer.url, listener)
        for peer in peers:
            peer.send(text("a"))
        for listener in listeners:
            assert (await calls_to_the_end(listener))[-1].sent == Close(1000)
    assert "is not at its end yet" not in caplog.text
