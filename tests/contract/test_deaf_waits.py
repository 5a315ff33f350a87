"""Ctrl-C does not end a wait if it comes just before it, nor any wait in Windows: the same, played on any system."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any
from unittest import mock

import pytest

from polysocket import Text, blocking, threaded
from polysocket.effects import polling
from polysocket.testing.contract.places import Listener, Peer, Place
from tests.contract.test_blocking import in_the_main_thread
from tests.contract.test_happy_eyeballs import address, hole, resolved

__all__ = ["hole"]

pytestmark = [
    in_the_main_thread,
    pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="Windows needs no stand-in for itself"),
    pytest.mark.timeout(20),
]

SLICE = 0.05  # seconds that a wait of the stand-in lasts


@contextlib.contextmanager
def missed_ctrl_c(function: str, owner: Any = polling) -> Iterator[None]:
    """Press Ctrl-C once the main thread waits; the wait does not notice it, and Python looks after its end."""
    wait = getattr(owner, function)
    waits = threading.Event()

    def deaf(*args: Any) -> Any:
        if threading.current_thread() is not threading.main_thread():
            return wait(*args)
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            waits.set()
            return wait(*args)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def press() -> None:
        assert waits.wait(10)
        os.kill(os.getpid(), signal.SIGINT)

    pressing = threading.Thread(target=press)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with mock.patch.object(polling, "LONGEST_WAIT", SLICE), mock.patch.object(owner, function, deaf):
            pressing.start()
            with pytest.raises(KeyboardInterrupt):
                yield
    finally:
        signal.signal(signal.SIGINT, before)
        pressing.join()


def send_much(ws: Any) -> None:
    while True:
        ws.send_binary(bytes(1 << 20))


CALLS: dict[str, Callable[[Any], object]] = {
    "receive": lambda ws: ws.receive(),
    "receive_text": lambda ws: ws.receive_text(timeout=60),
    "iteration": lambda ws: next(iter(ws)),
    "ping": lambda ws: ws.ping(),
    "send": send_much,
    "close": lambda ws: ws.close(),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_ctrl_c_ends_a_call_of_a_websocket(peer: Peer, call: Callable[[Any], object]) -> None:
    ws = blocking.connect(peer.url, close_timeout=None)
    with missed_ctrl_c("wait_until_ready"), ws:
        call(ws)
    assert not ws.is_open


def test_ctrl_c_ends_a_wait_for_another_caller(peer: Peer) -> None:
    ws = blocking.connect(peer.url)
    sending = threading.Thread(target=lambda: ws.send(Text("", final=False)))
    sending.start()
    sending.join()
    with missed_ctrl_c("wait_until_rung"), ws:
        ws.send_text("waits for the end of the other thread's message")


def test_ctrl_c_ends_an_opening_handshake(silent: Listener) -> None:
    with missed_ctrl_c("wait_until_ready"):
        blocking.connect(silent.url, open_timeout=None)


def test_ctrl_c_ends_connecting(place: Place, hole: int) -> None:
    with resolved(address(hole), address(hole)), missed_ctrl_c("wait_until_connected"):
        blocking.connect("ws://many.example/", open_timeout=None)


def test_ctrl_c_ends_a_lookup() -> None:
    answers = threading.Event()
    with mock.patch.object(socket, "getaddrinfo", side_effect=lambda *_, **__: answers.wait(30) and []):
        with missed_ctrl_c("wait_until_rung"):
            blocking.connect("ws://slow.example/", open_timeout=None)
        answers.set()


def test_ctrl_c_ends_the_end_of_a_block_in_the_threaded_flavour(peer: Peer) -> None:
    ws = threaded.connect(peer.url, close_timeout=None).result()
    with missed_ctrl_c("exception", Future):
        ws.__exit__(None, None, None)
    peer.hang_up()  # ends the closing, which goes on in its thread
    for thread in threading.enumerate():
        if thread.name.startswith("polysocket"):
            thread.join(10)


def test_only_the_main_thread_looks_again_each_second() -> None:
    """Thousands of threads that wait must cost nothing."""
    bell = mock.Mock()
    polling.wait_until_rung(bell, polling.ENDLESS)
    waiting = threading.Thread(target=polling.wait_until_rung, args=(bell, polling.ENDLESS))
    waiting.start()
    waiting.join()
    assert bell.acquire.mock_calls == [mock.call(timeout=1), mock.call(timeout=polling.ENDLESS)]
