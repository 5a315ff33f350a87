"""The documentation's flavour for Twisted, in conversations that the contract doesn't have.

Each test runs a process of its own, because a reactor can't be restarted. A warning or a line of log fails the test.
"""

from __future__ import annotations

import importlib.util
import pathlib
import subprocess
import sys
from collections.abc import Callable

import pytest

from polysocket.testing import EchoServer
from polysocket.testing.contract import wire
from polysocket.testing.contract.places import Peer, Place
from tests.leaks import nothing_left_behind
from tests.proxy.proxies import http_proxy

ROOT = pathlib.Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(importlib.util.find_spec("twisted") is None, reason="Twisted is not installed")


def converse(names: str, *arguments: str, meanwhile: Callable[[], None] = lambda: None) -> None:
    command = [sys.executable, "-W", "error", "-m", "tests.effects.twisted_conversations", names, *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        meanwhile()
        output, _ = process.communicate(timeout=30)
    assert output == ""
    assert process.returncode == 0


def test_websockets_backends_and_programs_work_in_twisted() -> None:
    names = "messages", "concurrent_sends", "backend", "programs"
    with nothing_left_behind(), EchoServer() as server:
        converse(",".join(names), server.url)


def test_a_proxy_works_in_twisted(tmp_path: pathlib.Path) -> None:
    with http_proxy(tmp_path) as proxy, nothing_left_behind(), EchoServer() as server:
        converse("proxied", server.url, proxy.url())


def test_a_pipe_works_in_twisted(tmp_path: pathlib.Path) -> None:
    with nothing_left_behind(), Peer(Place("tcp", tmp_path)) as peer:

        def play() -> None:
            peer.send(wire.encode(wire.TEXT, "a"))
            assert peer.frame().payload == b"A"
            peer.send(wire.close())
            assert peer.frame().opcode == wire.CLOSE
            peer.hang_up()

        converse("pipe", peer.url, meanwhile=play)


def test_a_pipe_ends_even_if_its_stage_waits_for_something_else(tmp_path: pathlib.Path) -> None:
    with nothing_left_behind(), Peer(Place("tcp", tmp_path)) as peer:

        def play() -> None:
            assert peer.frame().payload == b"A"
            peer.send(wire.close())
            assert peer.frame().opcode == wire.CLOSE
            peer.hang_up()

        converse("idle_pipe", peer.url, meanwhile=play)
