"""The poller of a process, or of a run of trio, goes on whatever happens to it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
from websockets.sync.server import ServerConnection

from tests.peers import websockets_server

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork, and limits of descriptors")

PRELUDE = """
import os, resource, sys, threading, time
import warnings
from polysocket import ReceiveTimeout, blocking

url = sys.argv[1]
OPTIONS = {"ping_interval": 0.2, "compression": None}

class Interrupt(BaseException): pass

def is_alive(ws):
    "Return whether a Ping of keepalive is answered in time."
    end = time.monotonic() + 15
    while ws.latency is None and time.monotonic() < end:
        try:
            ws.receive(timeout=0.1)
        except ReceiveTimeout:
            pass
    return ws.latency is not None

def interrupt_after(function, name):
    "Raise when this function has called another one, as a signal handler does."
    def profile(frame, event, called):
        if event == "c_return" and frame.f_code.co_name == function and called.__name__ == name:
            sys.setprofile(None)
            raise Interrupt
    sys.setprofile(profile)

def use_up_descriptors(left):
    "Return the descriptors that were opened, so that as many are left."
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    held = []
    try:
        while True:
            held.append(os.dup(0))
    except OSError:
        pass
    for _ in range(left):
        os.close(held.pop())
    return held
"""

PROGRAMS = {
    "a start that is interrupted": """
interrupt_after("_is_first", "append")
try:
    blocking.connect(url, **OPTIONS)
except Interrupt:
    with blocking.connect(url, **OPTIONS) as ws:
        print(is_alive(ws))
""",
    "a fork whose hook is interrupted": """
warnings.simplefilter("ignore")
sys.unraisablehook = lambda _: None
with blocking.connect(url, **OPTIONS) as ws:
    assert is_alive(ws)
    interrupt_after("_wait_for_look", "acquire")
    if os.fork() == 0:
        os._exit(0)
    with blocking.connect(url, **OPTIONS) as another:
        print(is_alive(another))
""",
    "no descriptor is left": """
held = use_up_descriptors(1)
with blocking.connect(url, **OPTIONS) as ws:
    end = time.monotonic() + 0.6
    while time.monotonic() < end:
        try:
            ws.receive(timeout=0.1)
        except ReceiveTimeout:
            pass
    for fd in held:
        os.close(fd)
    with blocking.connect(url, **OPTIONS) as another:
        print(is_alive(another))
""",
    "no descriptor is left in trio": """
import trio
from polysocket import trio as polysocket_trio

async def main():
    held = use_up_descriptors(1)
    async with polysocket_trio.connect(url, **OPTIONS) as ws:
        with trio.move_on_after(0.6):
            await ws.receive()
        for fd in held:
            os.close(fd)
        while ws.latency is None:
            with trio.move_on_after(0.1):
                await ws.receive()
        print(True)

trio.run(main)
""",
}


@pytest.fixture
def url() -> Iterator[str]:
    def handle(ws: ServerConnection) -> None:
        for _ in ws:
            pass

    with websockets_server(handle, ping_interval=None) as url:
        yield url


@pytest.mark.parametrize("name", PROGRAMS)
def test_websockets_are_kept_alive_after(name: str, url: str) -> None:
    if "trio" in name:
        pytest.importorskip("trio")
    command = [sys.executable, "-c", PRELUDE + PROGRAMS[name], url]
    ended = subprocess.run(command, check=False, timeout=60, capture_output=True, text=True)
    assert (ended.stdout, ended.stderr) == ("True\n", "")


CLOSES_MANY = (
    PRELUDE
    + """
idle = blocking.connect(url, ping_interval=60)
many = [blocking.connect(url) for _ in range(200)]
is_over, tell = os.pipe()
if os.fork() == 0:
    os.close(tell)
    os.read(is_over, 1)  # It holds the sockets until the parent ends.
    os._exit(0)
for ws in many:
    ws.close()
print("closed", flush=True)
sys.stdin.read()
idle.close()
"""
)


def test_closed_websockets_that_a_child_holds_do_not_hold_up_the_others() -> None:
    connections: list[ServerConnection] = []

    def handle(ws: ServerConnection) -> None:
        connections.append(ws)
        for _ in ws:
            pass

    with (
        websockets_server(handle, ping_interval=None) as url,
        subprocess.Popen(
            [sys.executable, "-c", CLOSES_MANY, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process,
    ):
        assert process.stdout is not None
        assert process.stdout.readline() == "closed\n"
        for _ in range(3):
            assert connections[0].ping().wait(5)
        process.communicate(timeout=30)


def test_a_websocket_may_be_freed_in_another_run_of_trio(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    trio = pytest.importorskip("trio")
    from polysocket import trio as polysocket_trio

    unraisable: list[sys.UnraisableHookArgs] = []
    monkeypatch.setattr(sys, "unraisablehook", unraisable.append)
    handed_over: list[object] = []
    is_handed_over, is_freed = threading.Event(), threading.Event()
    pings: list[int] = []

    async def first() -> None:
        async with polysocket_trio.connect(url, ping_interval=0.2) as stays:
            handed_over.append(await polysocket_trio.connect(url, ping_interval=0.2))
            is_handed_over.set()
            while not is_freed.is_set():
                await trio.sleep(0.01)
            before = stays._session._ping_count
            with trio.fail_after(20):
                while stays._session._ping_count < before + 3:
                    await trio.sleep(0.01)
            pings.append(stays._session._ping_count)

    async def second() -> None:
        async with polysocket_trio.connect(url, ping_interval=0.2):
            assert is_handed_over.wait(20)
            handed_over.clear()
            is_freed.set()

    threads = [threading.Thread(target=trio.run, args=(each,)) for each in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert pings
    assert {each.exc_type for each in unraisable} <= {ResourceWarning}  # of the socket that was not closed
