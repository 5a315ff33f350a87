"""``python -m benchmarks.soak`` works, and finds what is lost and what is left."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmarks.server import ROOT
from benchmarks.soak import echo, libraries
from benchmarks.soak.conversation import Conversation, Damaged
from benchmarks.soak.holding import hold
from benchmarks.soak.result import Plan, Result

PLAN = Plan("blocking", "polysocket", "", connections=5, seconds=0.3, rate=500, settling=0.5)


def soak(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.soak", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=55, check=False)


def test_nothing_is_lost_or_left(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    flavours = ("--flavour", "asyncio", "--flavour", "blocking")
    done = soak(*flavours, "--connections", "20", "--seconds", "1", "--json", str(figures))
    assert done.returncode == 0, done.stderr
    results = [Result(**each) for each in json.loads(figures.read_text())]
    assert [(each.flavour, each.library) for each in results] == [
        ("asyncio", "polysocket"),
        ("asyncio", "websockets"),
        ("blocking", "polysocket"),
        ("blocking", "websockets"),
    ]
    for result in results:
        assert result.faults() == []
        assert result.opened > result.connections == 20
        assert result.sent == result.received > 20
        assert result.library in done.stdout


def test_a_number_of_connections_above_the_limit_is_refused() -> None:
    done = soak("--connections", "1000000000")
    assert done.returncode == 2
    assert "1000000000 connections need 1000000200 descriptors in each process" in done.stderr
    assert "hold at most" in done.stderr


def echoed(conversation: Conversation) -> list[str | bytes]:
    messages: list[str | bytes] = []
    while len(messages) < 50:
        burst = conversation.burst()
        messages += burst
        for message in burst:
            conversation.check(message)
    return messages


def test_all_libraries_have_the_same_conversation() -> None:
    messages = echoed(Conversation(3))
    assert messages == echoed(Conversation(3)) != echoed(Conversation(4))
    assert {type(message) for message in messages} == {str, bytes}
    sizes = [len(message) for message in messages]
    assert min(sizes) < 126 < max(sizes)


@pytest.mark.parametrize("fault", ["changed", "repeated", "skipped", "of another connection", "of the other type"])
def test_a_wrong_echo_is_found(fault: str) -> None:
    conversation = Conversation(1)
    messages = conversation.burst() + conversation.burst()
    conversation = Conversation(1)
    first = conversation.burst()[0]
    echoes: dict[str, list[str | bytes]] = {
        "changed": [first + ("x" if isinstance(first, str) else b"x")],  # type: ignore[operator]
        "repeated": [first, first],
        "skipped": [messages[1]],
        "of another connection": [Conversation(2).burst()[0]],
        "of the other type": [first.encode() if isinstance(first, str) else first.decode("latin-1")],
    }
    *right, wrong = echoes[fault]
    for message in right:
        conversation.check(message)
    with pytest.raises(Damaged):
        conversation.check(wrong)


@pytest.fixture(scope="module")
def echo_server() -> Any:
    with echo.running() as (url, _):
        yield url


def held(url: str, flavour: str = "blocking", **changes: Any) -> list[str]:
    """Return the faults of a run with some of the library's functions replaced."""
    (library,) = libraries.installed(flavour, ["polysocket"])
    result = hold(dataclasses.replace(PLAN, flavour=flavour, url=url), dataclasses.replace(library, **changes))
    return result.faults()


@pytest.mark.parametrize("flavour", ["asyncio", "blocking", "threaded"])
def test_a_run_without_faults_has_none(echo_server: str, flavour: str) -> None:
    assert held(echo_server, flavour) == []


def test_connections_left_open_are_found(echo_server: str) -> None:
    kept: list[Any] = []

    @asynccontextmanager
    async def connect_only(url: str, compress: bool) -> AsyncIterator[Any]:
        from polysocket.blocking import connect

        kept.append(connect(url))
        yield kept[-1]

    faults = held(echo_server, connect=connect_only)
    left = len(kept)
    for ws in kept:
        ws.close()
    # The three connections before the first count are not left by the run.
    assert f"blocking, polysocket: {left - 3} descriptors left" in faults
    assert f"blocking, polysocket: {left - 3} connection objects left" in faults


def test_a_lost_message_is_found(echo_server: str) -> None:
    sent = 0

    async def lose_some(ws: Any, message: str | bytes) -> None:
        nonlocal sent
        sent += 1
        if sent % 50:
            await libraries.polysocket_blocking_send(ws, message)

    async def receive_soon(ws: Any) -> str | bytes:
        received: str | bytes = ws.receive_message(timeout=0.2)
        return received

    faults = held(echo_server, send=lose_some, receive=receive_soon)
    assert any("messages lost" in fault for fault in faults)
    assert any("ReceiveTimeout" in fault or "Damaged" in fault for fault in faults)


def test_a_task_left_is_found(echo_server: str) -> None:
    tasks: list[asyncio.Task[None]] = []

    async def send_and_start(ws: Any, message: str | bytes) -> None:
        await libraries.polysocket_send(ws, message)
        tasks.append(asyncio.create_task(asyncio.sleep(60)))  # the end of the loop cancels it

    assert any(fault.endswith("tasks left") for fault in held(echo_server, "asyncio", send=send_and_start))


def test_a_thread_left_is_found(echo_server: str) -> None:
    threads: list[threading.Thread] = []
    end = threading.Event()

    async def send_and_start(ws: Any, message: str | bytes) -> None:
        await libraries.polysocket_blocking_send(ws, message)
        threads.append(threading.Thread(target=end.wait))
        threads[-1].start()

    try:
        faults = held(echo_server, send=send_and_start)
    finally:
        end.set()
        for thread in threads:
            thread.join()
    assert any(fault.endswith("threads left") for fault in faults)
