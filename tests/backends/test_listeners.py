"""Listeners: each frame once and in order, one call at a time, and the end last."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from polysocket import (
    Binary,
    Close,
    CloseCause,
    CloseInfo,
    ConcurrentReceive,
    ConnectionLost,
    Observation,
    ObservedBackend,
    Observer,
    Ping,
    Pong,
    Request,
    Side,
    Text,
    WebSocket,
    basic_request,
)
from polysocket.testing.contract import wire
from polysocket.testing.contract.places import Peer, upgrading
from polysocket.testing.contract.wire import Wire
from tests.backends.flavours import ASYNC, THREADS, Flavour, a_backend, opened, seen
from tests.backends.listening import Recorder, with_plain_and_async_methods

in_async_flavours = pytest.mark.parametrize("flavour", ASYNC, indirect=True)
in_threads = pytest.mark.parametrize("flavour", THREADS, indirect=True)


def text(payload: str, *, final: bool = True) -> bytes:
    return wire.encode(wire.TEXT, payload, final=final)


CONVERSATION = (
    text("a", final=False)
    + wire.encode(wire.PING, b"1")
    + wire.encode(wire.CONTINUATION, "b")
    + wire.encode(wire.BINARY, b"c")
    + wire.encode(wire.PONG, b"2")
)
HEARD = ["open", Text("a", final=False), Ping(b"1"), Text("b"), Binary(b"c"), Pong(b"2")]


@with_plain_and_async_methods
async def test_a_listener_hears_each_frame_in_order_and_the_end_last(
    flavour: Flavour, recorder: type[Recorder], peer: Peer
) -> None:
    listener = recorder(flavour.inbox())
    async with a_backend(flavour) as backend:
        ws = await opened(flavour, backend, peer.url, listener)
        peer.send(CONVERSATION)
        assert [await listener.heard.get() for _ in range(6)] == HEARD
        assert await flavour.call(peer.frame) == Wire(wire.PONG, b"1")
        peer.send(wire.close(1001, "bye"))
        assert await flavour.call(peer.frame) == Wire(wire.CLOSE, b"\x03\xe9")
        peer.hang_up()
        info = await listener.heard.get()
        assert info == CloseInfo(Side.REMOTE, CloseCause.CLOSE, Close(1001, "bye"), Close(1001))
        assert ws.close_info == info
    listener.heard.put("nothing more")
    assert await listener.heard.get() == "nothing more"


async def test_frames_that_come_with_the_answer_are_heard(flavour: Flavour, new_peer: Callable[..., Peer]) -> None:
    peer = new_peer(upgrading(behind=CONVERSATION))
    listener = Recorder(flavour.inbox())
    async with a_backend(flavour) as backend:
        await opened(flavour, backend, peer.url, listener)
        assert [await listener.heard.get() for _ in range(6)] == HEARD
        peer.send(wire.close(1001, "bye"))
        peer.hang_up()
        assert (await listener.heard.get()).received == Close(1001, "bye")


@in_threads
async def test_all_calls_but_on_open_come_in_one_thread(flavour: Flavour, peer: Peer) -> None:
    listener = Recorder(flavour.inbox())
    async with a_backend(flavour) as backend:
        await opened(flavour, backend, peer.url, listener)
        assert await listener.heard.get() == "open"
        listener.threads.clear()
        peer.send(CONVERSATION)
        peer.send(wire.close())
        peer.hang_up()
        while not isinstance(await listener.heard.get(), CloseInfo):
            pass
    assert len(listener.threads) == 1


@in_threads
async def test_a_call_waits_for_the_one_before_in_threads(flavour: Flavour, peer: Peer) -> None:
    go_on = threading.Event()

    class Slow(Recorder):
        def on_text(self, frame: Text) -> object:
            self.hear(f"{frame.payload} begins")
            go_on.wait(5)
            return self.hear(f"{frame.payload} ends")

    listener = Slow(flavour.inbox())
    async with a_backend(flavour) as backend:
        await opened(flavour, backend, peer.url, listener)
        peer.send(text("a") + text("b") + wire.encode(wire.PING))
        assert [await listener.heard.get() for _ in range(2)] == ["open", "a begins"]
        go_on.set()
        assert [await listener.heard.get() for _ in range(4)] == ["a ends", "b begins", "b ends", Ping()]
        peer.hang_up()


@in_async_flavours
async def test_a_call_waits_for_the_one_before_in_tasks(flavour: Flavour, peer: Peer) -> None:
    go_on = flavour.inbox()

    class Slow(Recorder):
        async def on_text(self, frame: Text) -> None:
            self.hear(f"{frame.payload} begins")
            await go_on.get()
            self.hear(f"{frame.payload} ends")

    listener = Slow(flavour.inbox())
    async with a_backend(flavour) as backend:
        await opened(flavour, backend, peer.url, listener)
        peer.send(text("a") + text("b") + wire.encode(wire.PING))
        assert [await listener.heard.get() for _ in range(2)] == ["open", "a begins"]
        await flavour.nothing_left_to_do()
        for _ in range(2):
            go_on.put(None)
        assert [await listener.heard.get() for _ in range(4)] == ["a ends", "b begins", "b ends", Ping()]
        peer.hang_up()


async def test_opening_does_not_wait_for_a_call_about_a_frame(flavour: Flavour, new_peer: Callable[..., Peer]) -> None:
    """Neither where the frame came in one piece with the server's answer."""
    peer = new_peer(upgrading(behind=text("a")))
    go_on = flavour.inbox()
    is_open = threading.Event()

    class Slow(Recorder):
        def on_text(self, frame: Text) -> object:
            if flavour.is_async:
                return go_on.get()
            return self.hear(is_open.wait(1))

    listener = Slow(flavour.inbox())
    async with a_backend(flavour) as backend:
        await opened(flavour, backend, peer.url, listener)
        is_open.set()
        go_on.put(None)
        assert await listener.heard.get() == "open"
        if not flavour.is_async:
            assert await listener.heard.get() is True
        peer.hang_up()


@with_plain_and_async_methods
async def test_on_open_is_over_before_the_result_is_there(
    flavour: Flavour, recorder: type[Recorder], peer: Peer
) -> None:
    listener = recorder(flavour.inbox())
    async with a_backend(flavour) as backend:
        response = await backend.open_websocket(peer.url, listener)
        assert response.result is listener.ws
        assert await listener.heard.get() == "open"
        peer.hang_up()


async def test_on_ping_comes_behind_the_answer(flavour: Flavour, peer: Peer) -> None:
    class Telling(Recorder):
        def on_ping(self, frame: Ping) -> object:
            return flavour.finished(self.ws.send_text("a Ping came"))

    async with a_backend(flavour) as backend:
        await opened(flavour, backend, peer.url, Telling(flavour.inbox()))
        peer.send(wire.encode(wire.PING, b"1"))
        assert await flavour.call(peer.frames, 2) == [Wire(wire.PONG, b"1"), Wire(wire.TEXT, b"a Ping came")]
        peer.hang_up()


async def test_calls_may_send_and_close_and_so_may_whoever_opened(flavour: Flavour, peer: Peer) -> None:
    class Answering(Recorder):
        def on_open(self, ws: WebSocket[Any]) -> object:
            super().on_open(ws)
            return flavour.finished(ws.send_text("from on_open"))

        def on_text(self, frame: Text) -> object:
            return flavour.finished(self.ws.send_text(f"{frame.payload} from on_text"))

        def on_binary(self, frame: Binary) -> object:
            return flavour.finished(self.ws.close(4000, "from on_binary"))

    listener = Answering(flavour.inbox())
    async with a_backend(flavour) as backend:
        ws = await opened(flavour, backend, peer.url, listener)
        assert await flavour.call(peer.frame) == Wire(wire.TEXT, b"from on_open")
        await ws.send_text("from outside")
        assert await flavour.call(peer.frame) == Wire(wire.TEXT, b"from outside")
        peer.send(text("a"))
        assert await flavour.call(peer.frame) == Wire(wire.TEXT, b"a from on_text")
        peer.send(wire.encode(wire.BINARY, b"b"))
        assert await flavour.call(peer.finish) == [Wire(wire.CLOSE, b"\x0f\xa0from on_binary")]
        assert await listener.heard.get() == "open"
        assert (await listener.heard.get()).sent == Close(4000, "from on_binary")


async def test_a_websocket_that_is_closed_from_outside_is_heard_to_end(flavour: Flavour, peer: Peer) -> None:
    listener = Recorder(flavour.inbox())
    async with a_backend(flavour) as backend:
        ws = await opened(flavour, backend, peer.url, listener)
        finishing = flavour.spawn(flavour.call, peer.finish)
        await ws.close(4000, "enough")
        await finishing.result()
        assert await listener.heard.get() == "open"
        assert await listener.heard.get() == ws.close_info
        assert ws.close_info is not None
        assert ws.close_info.received == Close(4000, "enough")


async def test_a_call_that_closes_does_not_wait_for_what_only_it_could_take(flavour: Flavour, peer: Peer) -> None:
    """The other side may have sent more than is kept undelivered before it sees the Close."""

    class Closing(Recorder):
        def on_text(self, frame: Text) -> object:
            return flavour.finished(self.ws.close())

    def answer_late() -> None:
        assert peer.frame() == Wire(wire.CLOSE, b"\x03\xe8")
        peer.send(wire.encode(wire.BINARY, bytes(64 * 1024)) * 50 + wire.close())
        peer.hang_up()

    listener = Closing(flavour.inbox())
    async with a_backend(flavour, request=basic_request.timeouts(open=5, close=2)) as backend:
        await opened(flavour, backend, peer.url, listener)
        answering = flavour.spawn(flavour.call, answer_late)
        await flavour.call(peer.send, text("a"))
        while not isinstance(heard := await listener.heard.get(), CloseInfo):
            pass
        await answering.result()
    assert heard.cause is CloseCause.CLOSE
    assert heard.received == Close(1000)


async def test_a_call_may_close_the_backend(flavour: Flavour, peer: Peer) -> None:
    class Closing(Recorder):
        def on_text(self, frame: Text) -> object:
            return flavour.finished(backend.close())

    backend = flavour.backend()
    listener = Closing(flavour.inbox())
    async with flavour.entered(backend):
        ws = await opened(flavour, seen(flavour, backend), peer.url, listener)
        peer.send(text("a"))
        assert await flavour.call(peer.finish) == [Wire(wire.CLOSE, b"\x03\xe8")]
        assert await listener.heard.get() == "open"
        assert (await listener.heard.get()).received == Close(1000)
        assert not ws.is_open


async def test_two_listeners_may_close_the_backend_and_do_not_wait_for_each_other(
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
            while not isinstance(heard := await listener.heard.get(), CloseInfo):
                pass
            assert heard.sent == Close(1000)
    assert "is not ended within the close timeout" not in caplog.text


@in_async_flavours
async def test_a_call_may_wait_for_a_task_that_closes_the_backend(
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
    assert await listener.heard.get() == "open"
    assert (await listener.heard.get()).received == Close(1000)
    assert not [record for record in caplog.records if record.name == "polysocket"], "the listener was waited for"


async def test_what_a_call_has_started_waits_for_the_listener_once_the_call_is_over(
    flavour: Flavour, peer: Peer
) -> None:
    go_on, tasks = flavour.inbox(), flavour.inbox()

    async def close_later() -> None:
        await go_on.get()
        await seen(flavour, backend).close()
        listener.heard.put("left")

    class Starting(Recorder):
        def on_text(self, frame: Text) -> object:
            return tasks.put(flavour.spawn(close_later))

        def on_close(self, info: CloseInfo) -> object:
            return self.hear_late(info) if flavour.is_async else self.hear(info)

        async def hear_late(self, info: CloseInfo) -> None:
            await flavour.nothing_left_to_do()
            self.hear(info)

    backend = flavour.backend()
    listener = Starting(flavour.inbox())
    async with flavour.entered(backend):
        await opened(flavour, seen(flavour, backend), peer.url, listener)
        peer.send(text("a"))
        task = await tasks.get()
        peer.send(wire.encode(wire.PING))
        assert [await listener.heard.get() for _ in range(2)] == ["open", Ping()]
        go_on.put(None)
        finishing = flavour.spawn(flavour.call, peer.finish)
        await task.result()
        await finishing.result()
        assert isinstance(await listener.heard.get(), CloseInfo)
        assert await listener.heard.get() == "left"


async def test_a_call_that_closes_the_backend_waits_for_the_other_listeners(
    flavour: Flavour, new_peer: Callable[..., Peer]
) -> None:
    class Closing(Recorder):
        def on_text(self, frame: Text) -> object:
            return self.close() if flavour.is_async else backend_is_closed(backend.close())

        async def close(self) -> None:
            await backend.close()
            order.append("closed")

    def told(what: str) -> object:
        order.append(what)
        return None

    def backend_is_closed(given: Any) -> object:
        flavour.finished(given)
        return told("closed")

    class Last(Recorder):
        def on_close(self, info: CloseInfo) -> object:
            return self.late() if flavour.is_async else told("on_close")

        async def late(self) -> None:
            await go_on.get()
            order.append("on_close")

    order: list[str] = []
    go_on = flavour.inbox()
    peers = [new_peer(), new_peer()]
    backend = flavour.backend()
    closing = Closing(flavour.inbox())
    async with flavour.entered(backend):
        await opened(flavour, seen(flavour, backend), peers[0].url, closing)
        await opened(flavour, seen(flavour, backend), peers[1].url, Last(flavour.inbox()))
        finishing = [flavour.spawn(flavour.call, peer.finish) for peer in peers]
        peers[0].send(text("a"))
        for task in finishing:
            await task.result()
        await flavour.nothing_left_to_do()
        go_on.put(None)
        while not isinstance(await closing.heard.get(), CloseInfo):
            pass
    assert order == ["on_close", "closed"]


async def test_on_close_is_called_when_the_connection_has_ended(flavour: Flavour, peer: Peer) -> None:
    """As an observer is told, which is when it has; the server waits with it for the answer to its Close."""
    listener = Recorder(flavour.inbox())

    class Ended(Observation):
        def closed(self, info: CloseInfo) -> None:
            listener.heard.put("ended")

    class Ends(Observer):
        def opening(self, request: Request) -> Observation:
            return Ended()

    backend = ObservedBackend(flavour.backend(), Ends())
    async with flavour.entered(backend):
        await opened(flavour, seen(flavour, backend), peer.url, listener)
        peer.send(wire.close())
        assert (await flavour.call(peer.frame)).opcode == wire.CLOSE
        await flavour.nothing_left_to_do()
        peer.hang_up()
        assert [await listener.heard.get() for _ in range(2)] == ["open", "ended"]
        assert isinstance(await listener.heard.get(), CloseInfo)


async def test_a_backend_forgets_a_websocket_whose_listener_was_told_of_the_end(flavour: Flavour, peer: Peer) -> None:
    listener = Recorder(flavour.inbox())
    over = flavour.inbox()
    backend: Any = flavour.backend()
    async with flavour.entered(backend):
        await opened(flavour, seen(flavour, backend), peer.url, listener)
        (session,) = backend._connector._open_sessions.sessions
        forget = session._when_over
        session.when_over(lambda: (forget(), over.put(None)))
        peer.send(wire.close())
        peer.hang_up()
        while not isinstance(await listener.heard.get(), CloseInfo):
            pass
        await over.get()
        assert not backend._connector._open_sessions.sessions


async def test_on_open_may_close(flavour: Flavour, peer: Peer) -> None:
    class Closing(Recorder):
        def on_open(self, ws: WebSocket[Any]) -> object:
            return flavour.finished(ws.close(4000, "no more"))

    listener = Closing(flavour.inbox())
    async with a_backend(flavour) as backend:
        finishing = flavour.spawn(flavour.call, peer.finish)
        ws = await opened(flavour, backend, peer.url, listener)
        assert not ws.is_open
        assert await finishing.result() == [Wire(wire.CLOSE, b"\x0f\xa0no more")]
        assert (await listener.heard.get()).sent == Close(4000, "no more")


async def test_on_close_is_over_when_the_backend_is_left(flavour: Flavour, peer: Peer) -> None:
    over: list[CloseInfo] = []

    class Last(Recorder):
        def on_close(self, info: CloseInfo) -> object:
            over.append(info)
            return None

    await is_over(flavour, peer, Last(flavour.inbox()), over)


async def test_a_backend_waits_for_on_close_no_longer_than_for_a_closing(
    flavour: Flavour, new_peer: Callable[..., Peer], caplog: pytest.LogCaptureFixture
) -> None:
    left = threading.Event()
    late = flavour.inbox()

    class Endless(Recorder):
        def on_close(self, info: CloseInfo) -> object:
            if flavour.is_async:
                return self.hear_late(info)
            left.wait(5)
            return self.hear(info)

        async def hear_late(self, info: CloseInfo) -> None:
            await late.get()
            self.hear(info)

    listeners = [Endless(flavour.inbox()) for _ in range(2)]
    async with a_backend(flavour, request=basic_request.timeouts(open=5, close=0.2)) as backend:
        for listener in listeners:
            await opened(flavour, backend, new_peer().url, listener)
            assert await listener.heard.get() == "open"
    left.set()
    for _ in listeners:
        late.put(None)
    for listener in listeners:
        assert isinstance(await listener.heard.get(), ConnectionLost)
        assert isinstance(await listener.heard.get(), CloseInfo)
    assert [record.levelname for record in caplog.records if record.name == "polysocket"] == ["WARNING"] * 2
    await flavour.nothing_left_to_do()


@in_async_flavours
@pytest.mark.parametrize("first", ["this side", "the server"])
async def test_an_async_on_close_is_over_when_the_backend_is_left(flavour: Flavour, peer: Peer, first: str) -> None:
    over: list[CloseInfo] = []
    begun = flavour.inbox()

    class Last(Recorder):
        async def on_close(self, info: CloseInfo) -> None:
            begun.put(None)
            await flavour.nothing_left_to_do()
            over.append(info)

    if first == "this side":
        await is_over(flavour, peer, Last(flavour.inbox()), over)
        return
    async with a_backend(flavour) as backend:
        await opened(flavour, backend, peer.url, Last(flavour.inbox()))
        peer.send(wire.close())
        peer.hang_up()
        await begun.get()
    count = len(over)
    await flavour.nothing_left_to_do()
    assert count == 1


async def is_over(flavour: Flavour, peer: Peer, listener: Recorder, over: list[CloseInfo]) -> None:
    async with a_backend(flavour) as backend:
        await opened(flavour, backend, peer.url, listener)
        finishing = flavour.spawn(flavour.call, peer.finish)
    count = len(over)
    await finishing.result()
    await flavour.nothing_left_to_do()
    assert count == 1


async def test_receiving_is_the_listeners(flavour: Flavour, peer: Peer) -> None:
    listener = Recorder(flavour.inbox())
    async with a_backend(flavour) as backend:
        ws = await opened(flavour, backend, peer.url, listener)
        with pytest.raises(ConcurrentReceive):
            await ws.receive(timeout=1)
        assert await listener.heard.get() == "open"
        peer.send(text("a"))
        assert await listener.heard.get() == Text("a")
        peer.hang_up()


@in_async_flavours
async def test_what_a_plain_method_gives_is_awaited(flavour: Flavour, peer: Peer) -> None:
    async def later(listener: Recorder, frame: Text) -> None:
        listener.hear(frame.payload)

    class Handing(Recorder):
        def on_text(self, frame: Text) -> Awaitable[None]:
            return later(self, frame)

    listener = Handing(flavour.inbox())
    async with a_backend(flavour) as backend:
        await opened(flavour, backend, peer.url, listener)
        peer.send(text("a"))
        assert [await listener.heard.get() for _ in range(2)] == ["open", "a"]
        peer.hang_up()


@pytest.mark.parametrize("way", ["closes", "fails"])
async def test_on_close_is_over_when_the_backend_is_left_though_on_open_was_the_end(
    flavour: Flavour, peer: Peer, way: str
) -> None:
    class Ends(Recorder):
        def on_open(self, ws: WebSocket[Any]) -> object:
            if way == "fails":
                raise LookupError("on purpose")
            return flavour.finished(ws.close())

    heard: list[object] = []
    listener = Ends(flavour.inbox())
    listener.heard.put = heard.append  # type: ignore[method-assign]
    peering = flavour.spawn(flavour.call, peer.finish)
    async with a_backend(flavour) as backend:
        await opened(flavour, backend, peer.url, listener)
    await peering.result()
    assert isinstance(heard[-1], CloseInfo)
