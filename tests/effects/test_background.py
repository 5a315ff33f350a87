"""Background programs that fail, or can't start, and multiplexers whose reader can't start."""

from __future__ import annotations

import logging
import threading
from typing import Any
from unittest import mock

import pytest

from polysocket import Async, Blocking, ConnectionLost, Threaded, WebSocket, polymorphic
from polysocket._lifting import wait_for_result
from polysocket.testing import WebSocketStub
from polysocket.testing.contract.multiplexing import Client
from tests.leaks import leave_nothing

__all__ = ["leave_nothing"]

THREADS: list[type[Any]] = [Blocking, Threaded]
REFUSED = "can't start new thread"


@polymorphic
async def fail_unobserved(ws: WebSocket[Async]) -> None:
    async def fail() -> None:
        raise LookupError("on purpose")

    failing = ws.effect.spawn(fail)
    while not failing.is_done:
        await ws.effect.sleep(0.001)


@polymorphic
async def spawn(ws: WebSocket[Async]) -> None:
    ws.effect.spawn(ws.receive_text)


@pytest.mark.parametrize("flavour", THREADS)
def test_an_error_that_no_caller_has_raised_is_logged(flavour: type[Any], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "polysocket"):
        wait_for_result(fail_unobserved(WebSocketStub().build(flavour)))
    [record] = caplog.records
    assert "a background program failed: fail_unobserved.<locals>.fail" in record.getMessage()
    assert "LookupError: on purpose" in caplog.text


def refuse_background_threads(thread: threading.Thread) -> None:
    if thread.name.endswith(("run", "worker")):  # "polysocket run" and "polysocket _run"; those of the threaded flavour
        raise RuntimeError(REFUSED)
    START(thread)


START = threading.Thread.start


@pytest.mark.parametrize("flavour", THREADS)
def test_a_program_for_which_there_is_no_thread_is_refused(flavour: type[Any]) -> None:
    ws = WebSocketStub().build(flavour)
    with mock.patch.object(threading.Thread, "start", refuse_background_threads):
        with pytest.raises(RuntimeError, match=REFUSED):
            wait_for_result(spawn(ws))
        assert ws.is_open


@pytest.mark.parametrize("flavour", THREADS)
def test_a_multiplexer_for_whose_reader_there_is_no_thread_fails(flavour: type[Any]) -> None:
    client = Client(WebSocketStub().then_wait().build(flavour))
    with mock.patch.object(threading.Thread, "start", refuse_background_threads):
        with pytest.raises(RuntimeError, match=REFUSED):
            wait_for_result(client.ask("a"))
        with pytest.raises(ConnectionLost, match="could not start"):
            wait_for_result(client.ask("b"))


@pytest.mark.parametrize("flavour", THREADS)
def test_a_multiplexer_works_with_a_stub(flavour: type[Any]) -> None:
    stub = WebSocketStub().then_respond(lambda frame: [frame.payload]).then_wait()
    with stub.build(flavour) as ws:
        client = Client(ws)
        assert wait_for_result(client.ask("a")) == "a"
        with client.subscription(["b", "end"]) as subscription:
            assert list(subscription) == ["b"]
