import logging

import pytest

from polysocket.blocking import connect
from polysocket.testing import EchoServer


def test_the_frames_are_in_the_log(polysocket_echo_server: EchoServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "polysocket")
    with connect(polysocket_echo_server.url) as ws:
        ws.send_text("Hello!")
        ws.receive_text(timeout=5)
    assert "sent Text, 6 bytes: 'Hello!'" in caplog.text
