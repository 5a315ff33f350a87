"""The log of a websocket: nothing at INFO; at DEBUG its handshake, its frames and its end, without secrets."""

from __future__ import annotations

import logging
import re
from typing import Any

import pytest

from polysocket import LoggingBackend, OpeningFailed, WebSocketHandler, basic_request
from polysocket.testing.contract import wire
from polysocket.testing.contract.flavour import Flavour, connected, promise
from polysocket.testing.contract.places import Peer, Place, answering, upgrading


def lines(caplog: pytest.LogCaptureFixture, name: str = "polysocket") -> list[str]:
    """Return the lines of this logger, each without the id of its connection, which all have in common."""
    messages = [record.getMessage() for record in caplog.records if record.name == name]
    ids = {message.partition(": ")[0] for message in messages}
    assert len(ids) <= 1, f"there is one connection: {ids}"
    assert all(re.fullmatch(r"#\d+", each) for each in ids)
    return [message.partition(": ")[2] for message in messages]


@promise
async def test_at_info_nothing_is_logged(flavour: Flavour, peer: Peer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="polysocket")
    ws = await flavour.open(peer.url, **peer.options())
    await ws.send_text("a")
    peer.hang_up()
    await ws.close()
    assert lines(caplog) == []


@promise
async def test_at_debug_handshake_frames_and_end_are_logged(
    flavour: Flavour, place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="polysocket")
    with Peer(place, answering("302 Found", "Location: /there?token=secret"), upgrading("Set-Cookie: secret")) as peer:
        request = basic_request.get(f"{peer.url.replace('//', '//user:secret@')}chat?token=secret")
        ws = await flavour.open(request.header("X-Client", "y").cookie("session", "secret"), **peer.options())
        await ws.send_text("a" * 1000)
        peer.send(wire.encode(wire.BINARY, b"b\n") + wire.close(1001, "bye"))
        assert await ws.receive() is not None
        peer.hang_up()
        await ws.close()
    logged = lines(caplog)
    assert "secret" not in str([record.__dict__ for record in caplog.records])
    assert not any("\n" in line for line in logged)
    assert logged[0] == f"opening {peer.url}chat"
    assert [line for line in logged if " HTTP/1.1" in line] == [
        "sent GET /chat?… HTTP/1.1",
        "received HTTP/1.1 302 Found",
        "sent GET /there?… HTTP/1.1",
        "received HTTP/1.1 101 Switching Protocols",
    ]
    for line in ("sent X-Client: y", "sent Authorization: …", "sent Cookie: …", "received Set-Cookie: …"):
        assert line in logged
    assert logged[-6:] == [
        "open, no extensions",
        f"sent Text, 1000 bytes: '{'a' * 60}'…",
        "received Binary, 2 bytes: b'b\\n'",
        "received Close 1001 (going away) 'bye'",
        "sent Close 1001 (going away)",
        f"{ws.close_info}",
    ]


@promise
async def test_a_failed_opening_is_logged(flavour: Flavour, place: Place, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="polysocket")
    with Peer(place, answering("403 Forbidden")) as peer:
        with pytest.raises(OpeningFailed):
            await flavour.open(peer.url, **peer.options())
        assert lines(caplog)[-1] == (
            "not opened: UpgradeRejected: the server did not upgrade: it answered 403 Forbidden"
        )


class Prefix(logging.LoggerAdapter[Any]):
    """An adapter that puts a name before each line."""

    def process(self, msg: Any, kwargs: Any) -> tuple[Any, Any]:
        return f"mine: {msg}", kwargs


@promise
async def test_a_logger_or_an_adapter_may_be_given(
    flavour: Flavour, peer: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="own")
    async with connected(flavour, peer, logger=Prefix(logging.getLogger("own"), {})):
        pass
    own = [record.getMessage() for record in caplog.records if record.name == "own"]
    assert re.fullmatch(rf"mine: #\d+: opening {peer.url}", own[0])
    assert all(line.startswith("mine: #") for line in own)
    assert lines(caplog) == []


@promise
async def test_a_backend_logs_at_debug_and_a_logging_backend_logs_once(
    flavour: Flavour, peer: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="polysocket")
    backend = flavour.backend(request=basic_request.timeouts(close=5))
    opened = backend.open_websocket(peer.url, WebSocketHandler())
    response: Any = await flavour.effect().unlift(opened)
    peer.hang_up()
    await (await flavour.seen(response.result)).close()
    assert lines(caplog)[0] == f"opening {peer.url}"
    logging_backend = LoggingBackend(backend)
    caplog.clear()
    with pytest.raises(OpeningFailed):
        await flavour.effect().unlift(logging_backend.open_websocket("ws://localhost:1/", WebSocketHandler()))
    assert [record.levelno for record in caplog.records if record.name == "polysocket"] == [logging.INFO]
