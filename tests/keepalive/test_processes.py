"""Keepalive in a process: its one thread, forks, the end of the interpreter, and websockets that are forgotten."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest

from polysocket import (
    Close,
    Frame,
    Observation,
    ObservedBackend,
    Ping,
    Request,
    Text,
    basic_request,
    blocking,
    threaded,
)
from polysocket.testing import EchoServer
from polysocket.testing.contract import wire
from polysocket.testing.contract.places import Peer, Place, upgrading
from polysocket.testing.contract.wire import Wire
from tests.leaks import leave_nothing

__all__ = ["leave_nothing"]

quiet = basic_request.keepalive(interval=None)


def keepalive_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "polysocket keepalive"]


OPENINGS: dict[str, Callable[..., Any]] = {
    "blocking": blocking.connect,
    "threaded": lambda url, **options: threaded.connect(url, **options).result(),
}
openings = pytest.mark.parametrize("connect", OPENINGS.values(), ids=OPENINGS)


@openings
def test_all_websockets_of_a_process_share_one_thread_which_ends_with_the_last(connect: Callable[..., Any]) -> None:
    with EchoServer(limits=quiet) as server:
        assert keepalive_threads() == []
        websockets = [connect(server.url) for _ in range(20)]
        (thread,) = keepalive_threads()
        for ws in websockets[1:]:
            ws.close()
        assert keepalive_threads() == [thread]
        websockets[0].close()
        thread.join(5)
        assert not thread.is_alive()


@openings
def test_a_program_that_turns_keepalive_off_has_no_thread(connect: Callable[..., Any]) -> None:
    with EchoServer(limits=quiet) as server:
        ws = connect(server.url, ping_interval=None)
        assert keepalive_threads() == []
        ws.close()


def test_a_forgotten_websocket_is_freed_although_it_is_kept_alive() -> None:
    with EchoServer(limits=quiet) as server:
        ws = blocking.connect(server.url, ping_interval=0.05)
        session = weakref.ref(ws._session)
        with pytest.warns(ResourceWarning, match="unclosed"):
            del ws
        assert session() is None
        for thread in keepalive_threads():
            thread.join(5)
        assert keepalive_threads() == []


class Blocked(Observation):
    """An observer of one websocket that blocks at the first frame."""

    def __init__(self) -> None:
        self.is_blocked = threading.Event()
        self.go_on = threading.Event()

    def opening(self, _: Request) -> Observation:
        return self

    def received(self, frame: Frame | Close) -> None:
        self.is_blocked.set()
        assert self.go_on.wait(20)


def test_an_observer_that_blocks_holds_up_no_websocket() -> None:
    """The server ends connections whose Pings are not answered."""
    impatient = basic_request.keepalive(interval=0.1, timeout=1)
    blocked = Blocked()
    with EchoServer(limits=impatient) as server, ObservedBackend(blocking.BlockingBackend(), blocked) as backend:
        held_up = backend.connect(server.url)
        with blocking.connect(server.url) as ws:
            time.sleep(2)  # seconds: longer than the server's patience
            ws.send_text("a")
            assert ws.receive_text() == "a"
        assert held_up.is_open
        blocked.go_on.set()


class Keeping(Blocked):
    """An observer that blocks at the first frame, and keeps the payloads of all."""

    def __init__(self) -> None:
        super().__init__()
        self.payloads: list[bytes] = []

    def received(self, frame: Frame | Close) -> None:
        super().received(frame)
        if isinstance(frame, Ping):
            self.payloads.append(frame.payload)


def test_an_observer_is_called_in_order_by_one_thread_at_a_time(tmp_path: pathlib.Path, monkeypatch: Any) -> None:
    started, start = list[str](), threading.Thread.start

    def note(thread: threading.Thread) -> None:
        started.append(thread.name)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", note)
    keeping, payloads = Keeping(), [str(number).encode() for number in range(20)]
    with (
        Peer(Place("tcp", tmp_path)) as peer,
        ObservedBackend(blocking.BlockingBackend(request=basic_request.timeouts(close=0.1)), keeping) as backend,
    ):
        ws = backend.connect(peer.url)
        for payload in payloads[:5]:
            peer.send(wire.encode(wire.PING, payload))
            assert peer.frame() == Wire(wire.PONG, payload)
        keeping.go_on.set()
        for payload in payloads[5:]:
            peer.send(wire.encode(wire.PING, payload))
            assert peer.frame() == Wire(wire.PONG, payload)
        deadline = time.monotonic() + 5
        while len(keeping.payloads) < len(payloads):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert keeping.payloads == payloads
        assert started.count("polysocket _deliver_notifications") <= 1 + len(payloads[5:])
        ws.close()


def test_closing_waits_for_the_thread_that_calls_observers() -> None:
    """Otherwise the process may end before the log has the last frames."""
    keeping, impatient = Keeping(), basic_request.keepalive(interval=0.1, timeout=20)
    with (
        EchoServer(limits=impatient) as server,
        ObservedBackend(blocking.BlockingBackend(request=basic_request.timeouts(close=20)), keeping) as backend,
    ):
        ws = backend.connect(server.url)
        assert keeping.is_blocked.wait(20)
        later = threading.Timer(0.5, keeping.go_on.set)
        later.start()
        ws.close()
        assert keeping.payloads
        later.join()


def test_closing_waits_for_an_observer_that_blocks_at_most_its_time_limit() -> None:
    keeping, impatient = Keeping(), basic_request.keepalive(interval=0.1, timeout=20)
    with (
        EchoServer(limits=impatient) as server,
        ObservedBackend(blocking.BlockingBackend(request=basic_request.timeouts(close=0.3)), keeping) as backend,
    ):
        ws = backend.connect(server.url)
        assert keeping.is_blocked.wait(20)
        ws.close()
        assert not keeping.payloads
        keeping.go_on.set()


class Closing(Blocked):
    """An observer that closes at the first text, and waits for the end."""

    def __init__(self) -> None:
        super().__init__()
        self.close: Callable[[], Future[None]] | None = None
        self.has_closed = False

    def received(self, frame: Frame | Close) -> None:
        if isinstance(frame, Text) and self.close is not None:
            self.close().result(10)
            self.has_closed = True


@pytest.mark.parametrize("is_backend", [False, True], ids=["the websocket", "the backend"])
def test_an_observer_may_wait_for_the_closing_of(is_backend: bool) -> None:
    closing = Closing()
    backend: Any = ObservedBackend(threaded.ThreadedBackend(request=basic_request.timeouts(close=60)), closing)
    with EchoServer() as server, backend:
        ws = backend.connect(server.url).result()
        closing.close = backend.close if is_backend else ws.close
        ws.send_text("a").result()
        assert ws.receive_text().result(20) == "a"
        assert closing.has_closed


class ClosingAtPing(Blocked):
    """An observer that closes at the first Ping, and waits for the end."""

    def __init__(self) -> None:
        super().__init__()
        self.close: Callable[[], Future[None]] | None = None
        self.closed_after: Future[float] = Future()

    def received(self, frame: Frame | Close) -> None:
        if self.close is not None and not self.closed_after.done():
            begun = time.monotonic()
            self.close().result(20)
            self.closed_after.set_result(time.monotonic() - begun)


def test_an_observer_may_wait_for_the_closing_during_a_flood(tmp_path: pathlib.Path) -> None:
    """The peer is not held back until the observer has returned."""
    closing = ClosingAtPing()
    backend = ObservedBackend(threaded.ThreadedBackend(request=basic_request.timeouts(close=10)), closing)
    with Peer(Place("tcp", tmp_path)) as peer, backend:
        ws = backend.connect(peer.url).result()
        closing.close = ws.close
        peer.send(wire.encode(wire.PING))
        assert peer.frame().opcode == wire.PONG
        assert peer.frame().opcode == wire.CLOSE
        peer.send(wire.encode(wire.PING) * 2000 + wire.close())
        peer.hang_up()
        assert closing.closed_after.result(20) < 5
        assert ws.close_info is not None
        assert ws.close_info.received == Close(1000)


class ClosingAndWorking(Closing):
    """An observer that closes at the first text, and then works until it may go on."""

    def received(self, frame: Frame | Close) -> None:
        if isinstance(frame, Text) and self.close is not None:
            self.close()
            super(Closing, self).received(frame)


def test_a_closing_waits_for_an_observer_that_has_closed_before() -> None:
    working = ClosingAndWorking()
    backend: Any = ObservedBackend(threaded.ThreadedBackend(request=basic_request.timeouts(close=60)), working)
    with EchoServer() as server, backend:
        ws = backend.connect(server.url).result()
        working.close = ws.close
        ws.send_text("a").result()
        receiving = threading.Thread(target=ws.receive_text)
        receiving.start()
        assert working.is_blocked.wait(10)
        closing = ws.close()
        with pytest.raises(TimeoutError):
            closing.result(0.2)
        working.go_on.set()
        closing.result(10)
        receiving.join()


def test_a_mutex_that_is_held_for_long_holds_up_no_other_websocket(tmp_path: pathlib.Path) -> None:
    """A signal handler may run long while its thread holds the mutex."""
    with EchoServer(limits=quiet) as server, Peer(Place("tcp", tmp_path)) as peer:
        held_up = blocking.connect(server.url, ping_interval=0.05)
        ws = blocking.connect(peer.url, ping_interval=0.05, ping_timeout=None, close_timeout=0.1)
        with held_up._session._mutex:
            time.sleep(0.2)
            assert {frame.opcode for frame in peer.frames(10)} == {wire.PING}
        held_up.close()
        ws.close()


def test_a_websocket_whose_mutex_was_held_for_long_is_judged_after_another_ping() -> None:
    with EchoServer(limits=quiet) as server, blocking.connect(server.url, ping_interval=0.1, ping_timeout=0.3) as ws:
        time.sleep(0.5)
        with ws._session._mutex:
            time.sleep(1.5)
        time.sleep(1)
        assert ws.is_open


def run(program: str, url: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-c", program, url]
    return subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)


IN_A_CHILD = """
import os, sys, threading
from polysocket.blocking import connect

names = lambda: [thread.name for thread in threading.enumerate() if thread.name.startswith("polysocket")]
ws = connect(sys.argv[1])
child = os.fork()
if child == 0:
    before = names()
    with connect(sys.argv[1], ping_interval=0.1) as own:
        own.send_text("child")
        text = own.receive_text()
        print(before, names(), text, flush=True)
    os._exit(0)
os.waitpid(child, 0)
ws.send_text("parent")
print(names(), ws.receive_text())
ws.close()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_process_has_a_thread_of_its_own() -> None:
    with EchoServer(limits=quiet) as server:
        ran = run(IN_A_CHILD, server.url)
    assert ran.stderr == ""
    assert ran.stdout == "[] ['polysocket keepalive'] child\n['polysocket keepalive'] parent\n"


MADE_BY_THE_PARENT = """
import os, sys
from polysocket.blocking import reconnect

connections = reconnect(sys.argv[1])
if (child := os.fork()) == 0:
    next(connections.messages())
    del connections
    os._exit(0)
os.waitpid(child, 0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_process_closes_the_connection_that_it_has_opened_itself(tmp_path: pathlib.Path) -> None:
    with Peer(Place("tcp", tmp_path), upgrading(trailing=wire.text("first"))) as peer:
        assert run(MADE_BY_THE_PARENT, peer.url).stderr == ""
        assert peer.frame().opcode == wire.CLOSE


MANY_FORKS = """
import os, signal, sys
from polysocket.blocking import connect

websockets = [connect(sys.argv[1], ping_interval=0.002, ping_timeout=None) for _ in range(5)]
for _ in range(100):
    child = os.fork()
    if child == 0:
        signal.alarm(5)
        for ws in websockets:
            ws.is_open
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0, "a child waits for a lock forever"
for ws in websockets:
    ws.close()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_fork_leaves_no_lock_of_keepalive_locked() -> None:
    with EchoServer(limits=quiet) as server:
        ran = run(MANY_FORKS, server.url)
    assert (ran.returncode, ran.stderr) == (0, "")


LEFT_OPEN = """
import sys
from polysocket.blocking import connect

ws = connect(sys.argv[1], ping_interval=0.01)
print("end")
"""

AT_EXIT = """
import atexit, sys

@atexit.register
def goodbye():
    with connect(sys.argv[1]) as ws:
        ws.send_text("goodbye")
        print(ws.receive_text())

from polysocket.blocking import connect
"""


@pytest.mark.parametrize(("program", "prints"), [(LEFT_OPEN, "end\n"), (AT_EXIT, "goodbye\n")], ids=["open", "atexit"])
def test_the_interpreter_ends_cleanly(program: str, prints: str) -> None:
    with EchoServer(limits=quiet) as server:
        ran = run(program, server.url)
    assert (ran.returncode, ran.stdout) == (0, prints)
    assert ran.stderr == "" or "ResourceWarning" in ran.stderr
