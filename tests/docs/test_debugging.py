"""The programs of the pages about debugging, memory and long-lived connections do what the pages say."""

from __future__ import annotations

import os
import re
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
import trustme

import polysocket
from polysocket import Blocking, WebSocket
from polysocket.blocking import connect
from polysocket.testing import EchoServer
from tests.docs.pages import EXAMPLES, shown_in
from tests.docs.programs import execute, scripted


@pytest.mark.parametrize(
    ("name", "line"), [("where_blocking", "in receive_text"), ("where_asyncio", "ws.receive_text")]
)
def test_the_waiting_line_of_a_program_is_printed(name: str, line: str) -> None:
    def answer_late(ws: WebSocket[Blocking]) -> None:
        assert process.stdout is not None
        for text in process.stdout:
            if line in text:
                break
        ws.send_text("at last")
        ws.close()

    with (
        scripted(answer_late) as url,
        subprocess.Popen(
            [sys.executable, str(EXAMPLES / "debugging" / f"{name}.py"), url, "1"],
            env={**os.environ, "PYTHONPATH": str(Path(polysocket.__file__).parents[1])},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process,
    ):
        assert process.wait(20) == 0
        assert process.stdout is not None
        assert "at last" in process.stdout.read()


def test_the_keys_of_tls_are_written_to_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = tmp_path / "keys"
    monkeypatch.setenv("SSLKEYLOGFILE", str(keys))
    authority = trustme.CA()
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(server_context)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with EchoServer(ssl=server_context) as server, connect(server.url, ssl=context):
        pass
    assert "CLIENT_TRAFFIC_SECRET" in keys.read_text()


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the system has no /proc")
@pytest.mark.skipif(sys.implementation.name != "cpython", reason="other Pythons free memory later")
def test_a_compressor_takes_as_much_memory_as_the_page_says() -> None:
    # In a process of its own, whose memory nothing else has used.
    program = """
import os, zlib
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGESIZE") / 1024
data = zlib.compress(os.urandom(65536), wbits=-15)
def compressor():
    stream = zlib.compressobj(-1, zlib.DEFLATED, -15, 8)
    stream.compress(os.urandom(65536))
    return stream
def decompressor():
    stream = zlib.decompressobj(-15)
    stream.decompress(data)
    return stream
for make in (compressor, decompressor):
    make()
    before = resident()
    streams = [make() for _ in range(200)]
    print((resident() - before) / 200)
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=50)
    sent, received = map(float, ran.stdout.split())
    assert 200 < sent < 350
    assert 30 < received < 80


def test_a_feed_goes_on_after_its_connection_was_lost(capsys: pytest.CaptureFixture[str]) -> None:
    def fail(ws: WebSocket[Blocking]) -> None:
        ws.send_text("good morning")
        ws.close(1012)

    def end_the_day(ws: WebSocket[Blocking]) -> None:
        ws.send_text("good night")
        ws.receive()

    path = EXAMPLES / "long_lived" / "feed.py"
    with scripted(fail, end_the_day) as url:
        execute(path.read_text(encoding="utf-8"), str(path), url, {})
    assert re.fullmatch(r"good morning\nlost: closed by the peer.*\ngood night\n", capsys.readouterr().out)


@pytest.mark.parametrize("folder", ["debugging", "long_lived"])
def test_every_program_is_shown(folder: str) -> None:
    assert {path.name for path in (EXAMPLES / folder).glob("*.py")} == shown_in(folder)
