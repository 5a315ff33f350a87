"""The threads of the threaded flavour: few for all websockets that wait, and one more for each program that blocks."""

from __future__ import annotations

import contextlib
import os
import pathlib
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Iterator
from concurrent.futures import Future

import pytest

from polysocket import ReceiveTimeout, WebSocket, threaded
from polysocket.effects import Threaded, polling
from polysocket.effects.threaded import ThreadedEffect
from polysocket.testing import EchoServer
from polysocket.testing.contract import wire
from polysocket.testing.contract.places import Peer, Place
from tests.leaks import leave_nothing

__all__ = ["leave_nothing"]

SOON = 10  # seconds in which a call has ended, on a slow machine, too
SHORT = 0.1  # seconds of a time limit


@contextlib.contextmanager
def started_threads() -> Generator[list[str]]:
    """Yield the names of the threads that start in the block."""
    names, start = list[str](), threading.Thread.start

    def note(thread: threading.Thread) -> None:
        names.append(thread.name)
        start(thread)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading.Thread, "start", note)
        yield names


def threads_of_polysocket() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("polysocket")}


def wait_until_ended(threads: set[threading.Thread]) -> None:
    for thread in threads:
        thread.join(SOON)
        assert not thread.is_alive(), thread


@pytest.fixture
def server(leave_nothing: None) -> Iterator[EchoServer]:
    with EchoServer() as server:
        yield server


@contextlib.contextmanager
def websockets(server: EchoServer, count: int) -> Generator[list[WebSocket[Threaded]]]:
    opened = [threaded.connect(server.url).result(SOON) for _ in range(count)]
    try:
        yield opened
    finally:
        for closing in [ws.close() for ws in opened]:
            closing.result(SOON)


@pytest.mark.timeout(120)
def test_a_thousand_websockets_that_wait_take_at_most_twenty_threads(server: EchoServer) -> None:
    with websockets(server, 1000) as opened:
        receiving = [ws.receive_text() for ws in opened]
        time.sleep(SHORT)
        assert not any(future.done() for future in receiving)
        assert len(threads_of_polysocket()) <= 20
        for number, ws in enumerate(opened):
            ws.send_text(str(number)).result(SOON)
        assert [future.result(SOON) for future in receiving] == [str(number) for number in range(1000)]
        assert len(threads_of_polysocket()) <= 20


@pytest.mark.timeout(120)
def test_ten_thousand_messages_one_after_another_start_no_thread(server: EchoServer) -> None:
    with websockets(server, 1) as [ws]:
        ws.send_text("the first wait starts the threads").result(SOON)
        ws.receive_text().result(SOON)
        with started_threads() as started:
            for number in range(10_000):
                receiving = ws.receive_text()
                ws.send_text(str(number)).result(SOON)
                assert receiving.result(SOON) == str(number)
        assert started == []


def test_a_callback_that_blocks_does_not_hold_up_other_websockets(server: EchoServer) -> None:
    count = 30
    together = threading.Barrier(count, timeout=SOON)
    passed = threading.Semaphore(0)

    def meet(_: Future[str]) -> None:
        together.wait()
        passed.release()

    with websockets(server, count + 1) as [*opened, other]:
        for ws in opened[1:]:
            ws.receive_text().add_done_callback(meet)
            ws.send_text("a").result(SOON)
        for _ in range(10):
            receiving = other.receive_text()
            other.send_text("b").result(SOON)
            assert receiving.result(SOON) == "b"
        opened[0].receive_text().add_done_callback(meet)
        opened[0].send_text("a").result(SOON)
        assert all(passed.acquire(timeout=SOON) for _ in range(count))


def test_a_time_limit_is_kept_although_each_worker_is_in_a_callback(server: EchoServer) -> None:
    release, late = threading.Event(), list[float]()
    with websockets(server, 5) as [*opened, other]:
        for ws in opened:  # Each takes the one worker that is free.
            ws.receive_text().add_done_callback(lambda _: release.wait(SOON))
            ws.send_text("a").result(SOON)
            begin = time.monotonic()
            with pytest.raises(ReceiveTimeout):
                other.receive_text(timeout=SHORT).result(SOON)
            late.append(time.monotonic() - begin - SHORT)
        release.set()
    assert min(late) < 0.04  # The machine may be busy.


def test_a_callback_may_wait_for_another_message(server: EchoServer) -> None:
    received: Future[str] = Future()
    with websockets(server, 1) as [ws]:
        receiving = ws.receive_text()
        receiving.add_done_callback(lambda _: received.set_result(ws.receive_text().result(SOON)))
        for text in ("a", "b"):
            ws.send_text(text).result(SOON)
        assert received.result(SOON) == "b"


def test_a_future_can_not_be_cancelled(server: EchoServer) -> None:
    with websockets(server, 1) as [ws]:
        receiving = ws.receive_text()
        assert not receiving.cancel()
        ws.send_text("a").result(SOON)
        assert receiving.result(SOON) == "a"


def test_each_call_ends_at_its_own_deadline(server: EchoServer) -> None:
    with websockets(server, 20) as opened:
        began = time.monotonic()
        ends = list[tuple[int, float]]()
        receiving = [ws.receive_text(timeout=(20 - place) * SHORT / 2) for place, ws in enumerate(opened)]
        for place, future in enumerate(receiving):
            future.add_done_callback(lambda _, place=place: ends.append((place, time.monotonic() - began)))  # type: ignore[misc]
        for future in receiving:
            assert isinstance(future.exception(SOON), ReceiveTimeout)
        for place, seconds in ends:
            assert (20 - place) * SHORT / 2 <= seconds < (20 - place) * SHORT / 2 + 1
        assert [place for place, _ in ends] == list(reversed(range(20)))
        opened[0].send_text("a").result(SOON)
        assert opened[0].receive_text().result(SOON) == "a"


def test_bytes_that_tls_holds_are_received_at_once(tmp_path: pathlib.Path, leave_nothing: None) -> None:
    with Peer(Place("tls", tmp_path)) as peer:
        ws = threaded.connect(peer.url, **peer.options()).result(SOON)
        receiving = ws.receive_text()
        peer.stream.socket.sendall(b"".join(peer.stream.encrypted(wire.text(text)) for text in "abc"))
        assert receiving.result(SOON) == "a"
        assert [ws.receive_text().result(SOON) for _ in range(2)] == ["b", "c"]
        peer.hang_up()
        ws.close().result(SOON)


def test_the_threads_end_with_the_last_websocket(server: EchoServer) -> None:
    before = threads_of_polysocket()
    with websockets(server, 2) as opened:
        for ws in opened:
            ws.send_text("a").result(SOON)
            ws.receive_text().result(SOON)
        opened[0].close().result(SOON)
        time.sleep(SHORT)
        started = threads_of_polysocket() - before
        assert "polysocket wait loop" in [thread.name for thread in started]
    wait_until_ended(started)


def test_a_forgotten_websocket_lets_the_threads_end(server: EchoServer) -> None:
    before = threads_of_polysocket()
    [ws] = kept = [threaded.connect(server.url).result(SOON)]
    ws.send_text("a").result(SOON)
    ws.receive_text().result(SOON)
    del ws
    started = threads_of_polysocket() - before
    with pytest.warns(ResourceWarning):
        kept.clear()
    wait_until_ended(started)


FORK = """
import os, sys, warnings
from polysocket import polymorphic, threaded

warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of threads, which the child does not use.
parent, url = os.getpid(), sys.argv[1]

@polymorphic
async def receive(ws):
    try:
        return await ws.receive_text()
    finally:
        assert os.getpid() == parent, "a program of the parent process runs in the child"

waiting = threaded.connect(url).result()
receiving = receive(waiting)
child = os.fork()
if child == 0:
    with threaded.connect(url).result() as ws:
        ws.send_text("child").result()
        assert ws.receive_text().result() == "child"
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
waiting.send_text("parent").result()
assert receiving.result() == "parent"
waiting.close().result()
"""

END = """
import sys
from polysocket import threaded

opened = [threaded.connect(sys.argv[1]).result() for _ in range(5)]
receiving = [ws.receive_text() for ws in opened]
receiving[0].add_done_callback(lambda _: opened[1].receive_data_frame().exception())  # waits forever
opened[0].send_text("a").result()
assert receiving[0].result() == "a"
sys.modules["kept until the end"] = opened
"""


@pytest.mark.parametrize(
    "script",
    [pytest.param(FORK, marks=pytest.mark.skipif(not hasattr(os, "fork"), reason="forks a process")), END],
    ids=["fork", "end"],
)
def test_a_process_ends_silently_while_websockets_wait(server: EchoServer, script: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", script, server.url], capture_output=True, text=True, check=False, timeout=SOON
    )
    assert (ran.returncode, ran.stderr) == (0, "")


def test_a_time_limit_ends_waits_whose_events_are_all_set_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a flood, the program that reads sets each event before the one that waits goes on."""
    effect = ThreadedEffect()
    event, began = effect.event(), time.monotonic()

    async def wait_in_a_flood(_: object) -> None:
        event.set()

    async def program() -> None:
        nonlocal event
        async with effect.time_limit(SHORT):
            while time.monotonic() - began < SOON:
                event = effect.event()
                await event.wait()

    monkeypatch.setattr(polling, "until_over", wait_in_a_flood)
    with pytest.raises(TimeoutError):
        effect.lift(program)().result(SOON)
