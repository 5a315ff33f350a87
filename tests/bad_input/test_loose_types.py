"""Arguments that an untyped caller may pass: both builds take the same, and none breaks a websocket."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from polysocket import InvalidRequest, Text, blocking
from polysocket.testing import EchoServer

LIKE_A_BOOL: dict[str, Any] = {"0": 0, "1": 1, "None": None, "a list": [1]}


@pytest.mark.parametrize("flag", LIKE_A_BOOL.values(), ids=LIKE_A_BOOL)
def test_anything_counts_as_a_bool(flag: Any) -> None:
    with EchoServer() as server, blocking.connect(server.url) as ws:
        ws.send_text("a", compress=flag)
        ws.send_many(["b"], compress=flag)
        ws.send(Text("c", 1), 0)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        assert [ws.receive_text(pong_on_ping=1) for _ in "abc"] == ["a", "b", "c"]  # type: ignore[arg-type]


@pytest.mark.parametrize("timeout", ["1", True, 10**400, Fraction(1)], ids=repr)
@pytest.mark.parametrize("method", ["receive_text", "receive_binary", "receive_message", "receive_json", "receive"])
def test_a_wrong_timeout_is_refused(method: str, timeout: Any) -> None:
    with EchoServer() as server, blocking.connect(server.url) as ws:
        try:
            with pytest.raises(InvalidRequest):
                getattr(ws, method)(timeout=timeout)
        finally:
            ws.send_text("a")
            assert ws.receive_text() == "a"
