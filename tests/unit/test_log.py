"""The log of a websocket: made only if it is on, with secrets redacted and payloads shortened."""

from __future__ import annotations

import logging
import sys

import pytest

from polysocket import Binary, Close, LoggingObserver, Ping, Response, Text, basic_request
from polysocket.headers import Headers
from polysocket.observers.logging import ConnectionLog, connection_log

REQUEST = basic_request.get("ws://localhost/chat?mail=me@example.com&token=secret")


def own_lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage().partition(": ")[2] for record in caplog.records if record.name == "polysocket"]


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> ConnectionLog:
    caplog.set_level(logging.DEBUG, logger="polysocket")
    log = connection_log(None, REQUEST)
    assert log is not None
    caplog.clear()
    return log


def test_there_is_no_log_unless_debug_is_on(monkeypatch: pytest.MonkeyPatch) -> None:
    logger = logging.getLogger("polysocket")
    monkeypatch.setattr(logger, "level", logging.INFO)
    logger.manager._clear_cache()  # type: ignore[attr-defined]
    assert connection_log(None, REQUEST) is None
    assert connection_log(logging.LoggerAdapter(logger, {}), REQUEST) is None
    monkeypatch.delitem(sys.modules, "logging")
    assert connection_log(None, REQUEST) is None


def test_a_logging_observer_replaces_the_log(log: ConnectionLog) -> None:
    assert connection_log(None, REQUEST, [LoggingObserver()]) is None


def test_each_log_has_a_number_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="polysocket")
    for _ in range(3):
        assert connection_log(None, REQUEST) is not None
    assert len({record.getMessage().partition(": ")[0] for record in caplog.records}) == 3


def test_the_handshake_is_redacted_and_escaped(log: ConnectionLog, caplog: pytest.LogCaptureFixture) -> None:
    log.sent_request(REQUEST, Headers({"Authorization": "secret", "X-API-Key": "secret", "Origin": "https://a"}))
    log.received_response(Response(302, Headers({"Location": "//user:secret@b/?secret", "X": "\x9b2J"}), "Found\x9b"))
    log.received_response(Response(302, Headers({"Location": "https://b/#token=secret"}), "Found"))
    log.received_response(Response(302, Headers({"Location": "https://b/?mail=me@b&token=secret"}), "Found"))
    assert own_lines(caplog) == [
        "sent GET /chat?… HTTP/1.1",
        "sent Authorization: …",
        "sent X-API-Key: …",
        "sent Origin: https://a",
        "received HTTP/1.1 302 Found\\x9b",
        "received Location: //…@b/?…",
        "received X: \\x9b2J",
        "received HTTP/1.1 302 Found",
        "received Location: https://b/#…",
        "received HTTP/1.1 302 Found",
        "received Location: https://b/?…",
    ]


def test_a_frame_is_logged_with_its_size_and_the_beginning_of_its_payload(
    log: ConnectionLog, caplog: pytest.LogCaptureFixture
) -> None:
    for frame in (Text("ü\n", final=False), Binary(b"\x00" * 61), Ping(b""), Close(1000, "bye\n"), Close(1005)):
        log.received(frame)
    log.noted("keepalive: no byte for 20 seconds")
    zeros = "\\x00" * 60
    assert own_lines(caplog) == [
        "received Text, 3 bytes, fragment: 'ü\\n'",
        f"received Binary, 61 bytes: b'{zeros}'…",
        "received Ping, 0 bytes: b''",
        "received Close 1000 (normal closure) 'bye\\n'",
        "received Close 1005 (no status received)",
        "keepalive: no byte for 20 seconds",
    ]
