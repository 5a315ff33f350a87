"""State that one thread reads while another changes it in several steps: the flavours of threads, in memory.

A trace function pauses the changing thread at each line of the code that guards or changes the state.
"""

from __future__ import annotations

import contextlib
import itertools
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest

from polysocket import (
    BackendClosed,
    Blocking,
    Close,
    CloseInfo,
    Text,
    WebSocket,
    WebSocketClosed,
    WebSocketHandler,
    basic_request,
    blocking,
)
from polysocket.effects import ThreadMutex
from polysocket.effects.sockets import SocketEffect
from polysocket.testing import BackendStub, EchoServer, memory_pair

PATIENCE = 10  # seconds until a test fails


class NotingMutex(ThreadMutex):
    """A lock that calls back when a thread begins to wait for it, and when its owner leaves it."""

    on_wait: Callable[[], object] = staticmethod(lambda: None)
    on_leave: Callable[[], object] = staticmethod(lambda: None)

    def __enter__(self) -> Any:
        if not self.acquire(blocking=False):
            self.on_wait()
            self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.on_leave()
        self.release()


@pytest.fixture(autouse=True)
def noting_mutex(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the effects of threads make such locks."""
    monkeypatch.setattr(SocketEffect, "mutex", lambda _: NotingMutex())
    yield
    monkeypatch.setattr(NotingMutex, "on_wait", staticmethod(lambda: None))
    monkeypatch.setattr(NotingMutex, "on_leave", staticmethod(lambda: None))


@contextlib.contextmanager
def at_each_line(parts: tuple[str, ...], call: Callable[[], object]) -> Iterator[None]:
    """Call back before each line that this thread runs in files whose path has one of the parts."""

    def trace(frame: FrameType, event: str, _: object) -> Any:
        if not any(part in frame.f_code.co_filename for part in parts):
            return None
        if event == "line":
            call()
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)


def receive(ws: WebSocket[Blocking]) -> None:
    with contextlib.suppress(WebSocketClosed):
        ws.receive_text()


def peer_closes(client: WebSocket[Blocking], server: WebSocket[Blocking]) -> Callable[[], object]:
    server.send(Close(4000, "enough"))
    return lambda: receive(client)


def this_side_closes(client: WebSocket[Blocking], server: WebSocket[Blocking]) -> Callable[[], object]:
    server.send(Close(4000, "enough"))
    return client.close


def peer_vanishes(client: WebSocket[Blocking], server: WebSocket[Blocking]) -> Callable[[], object]:
    server._session.abort()
    return lambda: receive(client)


def this_side_aborts(client: WebSocket[Blocking], _: WebSocket[Blocking]) -> Callable[[], object]:
    return client._session.abort


@pytest.mark.parametrize("end", [peer_closes, this_side_closes, peer_vanishes, this_side_aborts])
def test_another_thread_never_sees_half_an_end(
    monkeypatch: pytest.MonkeyPatch, end: Callable[[WebSocket[Blocking], WebSocket[Blocking]], Callable[[], object]]
) -> None:
    settled: list[CloseInfo | None] = [None]
    seen: list[tuple[CloseInfo | None, bool]] = []
    pauses = 0

    def pause() -> None:
        """Let another thread look, until it has seen something or waits for this one."""
        nonlocal pauses
        pauses += 1
        done = threading.Event()
        monkeypatch.setattr(NotingMutex, "on_wait", staticmethod(done.set))

        def look() -> None:
            info, is_open = client.close_info, client.is_open
            if not done.is_set():  # It did not have to wait.
                seen.append((info, is_open))
            done.set()

        threads.append(threading.Thread(target=look))
        threads[-1].start()
        assert done.wait(PATIENCE)

    client, server = memory_pair(Blocking, request=basic_request.get("ws://memory/").timeouts(close=0.05))
    program = end(client, server)
    threads: list[threading.Thread] = []
    leaving = client._session._connection
    monkeypatch.setattr(NotingMutex, "on_leave", staticmethod(lambda: settled.append(leaving.close_info)))
    with at_each_line(("_core/connection.py", "_session/session.py", "_session/read_loop.py"), pause):
        program()
    for thread in threads:
        thread.join(PATIENCE)
    assert pauses > 10
    assert client.close_info is not None
    assert [(info, is_open) for info, is_open in seen if info not in settled or is_open != (info is None)] == []
    server._session.abort()


def call_while_another_thread_reads(at_line: int) -> bool:
    """Make a call while another thread is paused at this line of its reading; return False if it has no such line.

    The calling thread has read before.
    """
    client, server = memory_pair(Blocking)
    server.send_text("a")
    assert client.receive_text() == "a"
    server.send(Text("b"))
    paused, resumed = threading.Event(), threading.Event()
    lines = 0

    def pause() -> None:
        nonlocal lines
        lines += 1
        if lines == at_line:
            paused.set()
            assert resumed.wait(PATIENCE)

    def read() -> None:
        with at_each_line(("_session/session.py", "_session/read_loop.py"), pause):
            receive(client)
        paused.set()

    reading = threading.Thread(target=read)
    reading.start()
    assert paused.wait(PATIENCE)
    try:
        client._session._refuse_reentrant_call("close")
    finally:
        resumed.set()
        reading.join(PATIENCE)
        for side in (client, server):
            side._session.abort()
    return lines >= at_line


def test_a_thread_that_has_read_is_not_taken_for_the_one_that_reads() -> None:
    """Only a call from inside a read is refused: here another thread is about to read."""
    line = 1
    while call_while_another_thread_reads(line):
        line += 1
    assert line > 10


class GuardedSet(set[Any]):
    """A set that checks that it is used with its mutex held."""

    def __init__(self, mutex: Any) -> None:
        super().__init__()
        self._mutex = mutex

    def __iter__(self) -> Iterator[Any]:
        assert self._mutex.is_held()
        return super().__iter__()

    def add(self, thing: Any) -> None:
        assert self._mutex.is_held()
        super().add(thing)

    def discard(self, thing: Any) -> None:
        assert self._mutex.is_held()
        super().discard(thing)


def test_the_websockets_of_a_backend_are_used_with_the_mutex_held() -> None:
    """Stubs that were made of each other share their websockets and the mutex."""
    first = BackendStub.blocking()
    kept: Any = first._stub_connector._open_sessions
    kept.sessions = GuardedSet(kept._mutex)
    backend = first.when_any_request().then_respond_web_socket()
    backend.open_websocket("ws://localhost/", WebSocketHandler()).result.close()
    assert len(kept.sessions) == 0
    backend.open_websocket("ws://localhost/", WebSocketHandler())
    backend.close()
    assert len(kept.sessions) == 0
    with pytest.raises(BackendClosed):
        backend.open_websocket("ws://localhost/", WebSocketHandler())


def test_a_signal_handler_may_close_the_backend_in_the_middle_of_its_bookkeeping() -> None:
    backend = BackendStub.blocking().when_any_request().then_respond_web_socket()
    calls = 0

    def close() -> None:
        nonlocal calls
        calls += 1
        if calls == 1 and backend._stub_connector._open_sessions._mutex.is_held():
            backend.close()
        elif calls == 1:
            calls = 0

    with at_each_line(("polysocket/backend.py",), close), contextlib.suppress(BackendClosed):
        backend.open_websocket("ws://localhost/", WebSocketHandler())
    assert calls > 0
    backend.close()


@pytest.mark.parametrize("number", range(1, 5))
def test_another_thread_may_close_before_a_loop_waits_for_the_next_message(number: int) -> None:
    lines = itertools.count(1)
    closing: list[threading.Thread] = []

    def close_once() -> None:
        if next(lines) == number:
            closing.append(threading.Thread(target=connections.close))
            closing[0].start()
            closing[0].join(PATIENCE)

    with EchoServer() as server:
        connections = blocking.reconnect(server.url, on_open=lambda ws: ws.send_text("a"))
        messages = connections.messages()
        assert next(messages) == "a"
        with at_each_line(("_opening/reconnecting.py",), close_once):
            assert list(messages) == []
    assert len(closing) == 1
