"""The programs of the cookbook do what the page says."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from itertools import product
from pathlib import Path

import pytest

import polysocket
from polysocket import Blocking, Close, WebSocket, WebSocketClosed
from polysocket.testing import EchoServer
from tests.docs.pages import EXAMPLES, shown_in
from tests.docs.programs import FLAVOURS, HAS_TRIO, execute, rewritten, scripted

COOKBOOK = EXAMPLES / "cookbook"
PRINTED = {
    "json_dataclasses": r"Order\(item='pears', amount=3\)\n",
    "json_pydantic": r"item='pears' amount=3\n",
    "request_response": r"\{'question': 'Name\?'\}\n\{'question': 'Age\?'\}\n",
    "expiring_token": "101\n",
}
"""The output of programs that run in every flavour."""

NO_FUTURES = ("request_response", "threaded")  # Its function needs the answer, and so can't return a future.


def source_of(name: str) -> str:
    return (COOKBOOK / f"{name}.py").read_text(encoding="utf-8")


# A shell's background jobs ignore SIGINT, and their children inherit that.
LAUNCHER = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


def start(name: str, *arguments: str) -> subprocess.Popen[str]:
    """Run a program in a process of its own."""
    path = str(Path(polysocket.__file__).parents[1])
    launcher = [] if sys.platform == "win32" else ["-c", LAUNCHER]
    return subprocess.Popen(
        [sys.executable, *launcher, "-W", "error", str(COOKBOOK / f"{name}.py"), *arguments],
        env={**os.environ, "PYTHONPATH": path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(("name", "flavour"), [run for run in product(PRINTED, FLAVOURS) if run != NO_FUTURES])
def test_a_program_prints_what_comes_back(name: str, flavour: str, capsys: pytest.CaptureFixture[str]) -> None:
    if name == "json_pydantic":
        pytest.importorskip("pydantic")
    with EchoServer() as server:
        execute(rewritten(source_of(name), flavour), f"{name}.py", server.url, {})
    assert re.fullmatch(PRINTED[name], capsys.readouterr().out)


def send_two(ws: WebSocket[Blocking]) -> None:
    ws.send_text("one")
    ws.send_text("two")
    ws.close()


def fail(ws: WebSocket[Blocking]) -> None:
    ws.close(1011, "no plums")


@pytest.mark.parametrize("library", ["asyncio", *(["trio"] if HAS_TRIO else [])])
def test_many_connections_are_followed_although_one_fails(library: str, capsys: pytest.CaptureFixture[str]) -> None:
    with scripted(send_two, fail, send_two) as url:
        execute(source_of(f"many_{library}"), "many.py", url, {})
    lines = capsys.readouterr().out.splitlines()
    assert sum("no plums" in line for line in lines) == 1
    assert sorted(line for line in lines if "no plums" not in line) == ["one", "one", "two", "two"]


@pytest.mark.filterwarnings("default")
def test_a_file_goes_to_the_peer_and_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = os.urandom(1_000_000)
    monkeypatch.chdir(tmp_path)
    Path("original.bin").write_bytes(original)
    with EchoServer(limits=polysocket.basic_request.limit_message_size(None)) as server:
        execute(source_of("files"), "files.py", server.url, {})
    assert Path("copy.bin").read_bytes() == original


def test_the_command_prints_the_answer_to_each_line() -> None:
    with EchoServer() as server, start("cli", server.url) as process:
        assert process.communicate("apples\npears\n", timeout=20) == ("apples\npears\n", "")
        assert process.returncode == 0


def test_the_command_explains_a_failure_in_one_line() -> None:
    with start("cli", "ws://localhost:1/") as process:
        out, err = process.communicate("", timeout=20)
        assert (out, process.returncode) == ("", 1)
        assert re.fullmatch("could not connect to localhost port 1: .*\n", err)
    with start("cli", "ftp://localhost/") as process:
        assert "error: " in process.communicate("", timeout=20)[1]
        assert process.returncode == 2


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends Ctrl-C to a whole process group")
def test_the_command_ends_at_ctrl_c() -> None:
    def send_nothing(ws: WebSocket[Blocking]) -> None:
        assert ws.receive_text() == "apples"
        process.send_signal(signal.SIGINT)
        with suppress(WebSocketClosed):  # An interruption in the middle of a frame drops the connection.
            ws.receive()

    with scripted(send_nothing) as url, start("cli", url) as process:
        assert process.stdin is not None
        process.stdin.write("apples\n")
        process.stdin.flush()
        assert process.stderr is not None
        assert (process.wait(20), process.stderr.read()) == (130, "")


def test_the_chat_shows_messages_while_it_waits_for_lines() -> None:
    has_greeted = threading.Event()

    def chat(ws: WebSocket[Blocking]) -> None:
        ws.send_text("Hello!")
        has_greeted.set()
        assert ws.receive_text() == "Good morning!"
        assert isinstance(ws.receive(), Close)

    with scripted(chat) as url, start("chat", url) as process:
        assert has_greeted.wait(20)  # The end of the input has the program close the websocket.
        assert process.communicate("Good morning!\n", timeout=20) == ("Hello!\n", "")


@pytest.mark.skipif(sys.platform == "win32", reason="asyncio has no add_signal_handler in Windows")
def test_the_service_stops_at_sigterm() -> None:
    def serve(ws: WebSocket[Blocking]) -> None:
        ws.send_text("news")
        close = ws.receive()
        assert isinstance(close, Close)
        assert close.code == 1000

    with scripted(serve) as url, start("service", url) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "news\n"
        process.terminate()
        assert process.communicate(timeout=20) == ("stopped\n", "")
        assert process.returncode == 0


def test_every_program_is_run_and_shown() -> None:
    run = {*PRINTED, "many_asyncio", "many_trio", "files", "cli", "chat", "service"}
    assert {path.name for path in COOKBOOK.glob("*.py")} == {f"{name}.py" for name in run} == shown_in("cookbook")
