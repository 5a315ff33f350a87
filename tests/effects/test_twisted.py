"""The effect is open: a flavour for Twisted, written as an example, holds real conversations.

They are in processes of their own, for a reactor ends with its process. A warning is an error there, and so is a line
of log.
"""

from __future__ import annotations

import importlib.util
import os
import pathlib
import ssl
import subprocess
import sys
from collections.abc import Callable

import pytest

from polysocket.testing import EchoServer
from tests.contract import wire
from tests.contract.places import Echo, Peer, Place, answering, client_context
from tests.interop.leaks import nothing_left_behind
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


def test_conversations() -> None:
    names = "messages", "given_socket", "time_limits", "cancelled_receive", "concurrent_sends", "backend", "programs"
    with nothing_left_behind(), EchoServer() as server:
        converse(",".join(names), server.url)


def test_tls(tmp_path: pathlib.Path) -> None:
    with nothing_left_behind(), Echo(Place("tls", tmp_path)) as server:
        certificate = tmp_path / "ca.pem"
        certificate.write_text(
            "".join(ssl.DER_cert_to_PEM_cert(each) for each in client_context().get_ca_certs(binary_form=True))
        )
        converse("tls", server.url, os.fspath(certificate))


def test_a_unix_socket(tmp_path: pathlib.Path) -> None:
    path = os.fspath(tmp_path / "socket")
    with nothing_left_behind(), EchoServer(unix_path=path) as server:
        converse("unix", server.url, path)


def test_a_proxy(tmp_path: pathlib.Path) -> None:
    with http_proxy(tmp_path) as proxy, nothing_left_behind(), EchoServer() as server:
        converse("proxied", server.url, proxy.url())


def test_a_pipe(tmp_path: pathlib.Path) -> None:
    with nothing_left_behind(), Peer(Place("tcp", tmp_path)) as peer:

        def play() -> None:
            peer.send(wire.encode(wire.TEXT, "a"))
            assert peer.frame().payload == b"A"
            peer.send(wire.close())
            assert peer.frame().opcode == wire.CLOSE
            peer.hang_up()

        converse("pipe", peer.url, meanwhile=play)


def test_a_rejection(tmp_path: pathlib.Path) -> None:
    with nothing_left_behind(), Peer(Place("tcp", tmp_path), answering("404 Not Found")) as peer:
        converse("rejected", peer.url)


def test_a_lost_connection(tmp_path: pathlib.Path) -> None:
    with nothing_left_behind(), Peer(Place("tcp", tmp_path)) as peer:

        def play() -> None:
            assert peer.frame().payload == b"a"
            peer.hang_up()

        converse("lost", peer.url, meanwhile=play)
