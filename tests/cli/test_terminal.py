"""``polysocket URL`` at a terminal: lines are edited with prompt_toolkit, and work without it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from polysocket import Blocking, Close, WebSocket
from tests.cli.processes import Terminal, terminal
from tests.docs.programs import scripted

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals in Python")

LEFT, UP, CTRL_C, CTRL_D = "\x1b[D", "\x1b[A", "\x03", "\x04"


@pytest.fixture(params=["prompt_toolkit", "plain"])
def folders(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, ...]:
    """The folders that precede the installed modules: without prompt_toolkit, one that hides it."""
    if request.param == "plain":
        (tmp_path / "prompt_toolkit.py").write_text("raise ModuleNotFoundError(name=__name__)")
        return (tmp_path,)
    pytest.importorskip("prompt_toolkit")
    return ()


def wait_until_ready(at: Terminal, folders: tuple[Path, ...]) -> None:
    """Wait until a line can be typed."""
    at.read_until("is open")
    if not folders:
        at.read_until(">")


def answer(ws: WebSocket[Blocking]) -> None:
    for text in ws:
        ws.send_text(f"<{text!s}>")


def test_lines_are_sent_and_messages_shown_until_the_end_of_the_input(folders: tuple[Path, ...]) -> None:
    with scripted(answer) as url, terminal(url, folders=folders) as at:
        wait_until_ready(at, folders)
        for text in ("apples", "pears"):
            at.type(f"{text}\r")
            at.read_until(f"<{text}>")
        at.type(CTRL_D)
        assert at.finish().status == 0


def test_ctrl_c_closes_the_websocket_and_shows_no_traceback(folders: tuple[Path, ...]) -> None:
    def script(ws: WebSocket[Blocking]) -> None:
        assert ws.receive() == Close(1000)

    with scripted(script) as url, terminal(url, folders=folders) as at:
        wait_until_ready(at, folders)
        at.type(CTRL_C)
        ended = at.finish()
    assert ended.status == 130
    assert b"Traceback" not in ended.out


def test_the_end_of_the_websocket_ends_the_command_and_is_explained(folders: tuple[Path, ...]) -> None:
    def script(ws: WebSocket[Blocking]) -> None:
        ws.send_text("the last news")
        ws.close(1011, "out of news")

    with scripted(script) as url, terminal(url, folders=folders) as at:
        at.read_until("the last news")
        ended = at.finish()
    assert ended.status == 3
    assert b"out of news" in ended.out


def test_a_server_can_not_control_the_terminal(folders: tuple[Path, ...]) -> None:
    def script(ws: WebSocket[Blocking]) -> None:
        ws.send_text("\x1b]0;title\x07")
        ws.send_binary(b"\x1b\x00")
        ws.close()

    with scripted(script) as url, terminal(url, folders=folders) as at:
        at.read_until(r"\\x1b\]0;title\\x07")
        at.read_until(r"\(2 bytes\) 1b 00")
        assert at.finish().status == 0


def test_prompt_toolkit_edits_lines_and_keeps_a_history() -> None:
    pytest.importorskip("prompt_toolkit")
    with scripted(answer) as url, terminal(url) as at:
        wait_until_ready(at, ())
        at.type(f"aple{LEFT}{LEFT}p\r")
        at.read_until("<apple>")
        at.type(f"{UP}s\r")
        at.read_until("<apples>")
        at.type(CTRL_D)
        assert at.finish().status == 0
