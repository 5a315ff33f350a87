"""The threaded flavour as its users call it: many calls from one thread, which waits for none of them."""

from __future__ import annotations

import pytest

from polysocket import Close, threaded
from polysocket.testing.contract.places import Echo

SOON = 5  # seconds


@pytest.mark.parametrize("timeout", [None, 5])
def test_a_thread_may_ping_send_and_close_while_its_own_receive_waits(echo: Echo, timeout: float | None) -> None:
    ws = threaded.connect(echo.url, **echo.options()).result(SOON)
    receiving = ws.receive_text(timeout=timeout)
    assert ws.ping(timeout=timeout).result(SOON) > 0
    ws.send_text("a").result(SOON)
    assert receiving.result(SOON) == "a"
    receiving_close = ws.receive(timeout=timeout)
    ws.close().result(SOON)
    assert receiving_close.result(SOON) == Close(1000)
