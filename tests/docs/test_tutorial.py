"""The programs of the tutorial print what the tutorial shows, and its tests pass."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import polysocket
from polysocket import Blocking, Close, WebSocket
from tests.docs.pages import EXAMPLES, output_in, page, shown_in
from tests.docs.programs import execute, scripted
from tests.docs.users_tests import run_tests

TUTORIAL = EXAMPLES / "tutorial"
WITH_OUTPUT = ("messages", "waiting", "failing", "tasks")


def run(name: str, url: str = "") -> None:
    path = TUTORIAL / f"{name}.py"
    execute(path.read_text(encoding="utf-8"), str(path), url, {})


@contextmanager
def neighbours(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let a program import the files beside it."""
    monkeypatch.syspath_prepend(str(TUTORIAL))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield
    sys.modules.pop("shop", None)


@pytest.mark.parametrize("name", WITH_OUTPUT)
def test_a_program_prints_what_the_tutorial_shows(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    run(name)
    assert re.fullmatch(output_in("tutorial", f"tutorial/{name}.py"), capsys.readouterr().out)


def test_the_first_program_says_hello(capsys: pytest.CaptureFixture[str]) -> None:
    run("hello")
    assert capsys.readouterr().out == "Hello!\n"


def sell(ws: WebSocket[Blocking]) -> None:
    prices = {"apples": 2, "pears": 3}
    ws.send_json({"price": prices[ws.receive_json()["item"]]})
    assert isinstance(ws.receive(), Close)


def test_one_function_serves_two_flavours(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with neighbours(monkeypatch), scripted(sell, sell) as url:
        run("shopping", url)
    assert capsys.readouterr().out == "2\n3\n"


def test_the_last_program_reconnects(capsys: pytest.CaptureFixture[str]) -> None:
    def restart(ws: WebSocket[Blocking]) -> None:
        ws.send_text("good morning")
        ws.close(1012)

    def fail(ws: WebSocket[Blocking]) -> None:
        ws.send_text("good night")
        ws.close(1008)

    with scripted(restart, fail) as url, pytest.raises(polysocket.WebSocketClosed):
        run("following", url)
    assert re.fullmatch(r"good morning\nlost for \d seconds\ngood night\n", capsys.readouterr().out)


def test_the_tests_of_the_tutorial_pass(tmp_path: Path) -> None:
    for name in ("shop.py", "test_shop.py"):
        shutil.copy(TUTORIAL / name, tmp_path)
    run_tests(tmp_path, "test_shop.py")


@pytest.mark.parametrize(
    "path",
    [path for path in TUTORIAL.glob("*.py") if "example.com" in path.read_text("utf-8")],
    ids=lambda path: path.name,
)
def test_a_program_that_needs_a_real_server_says_so(path: Path) -> None:
    after = page("tutorial").partition(f"../examples/tutorial/{path.name}")[2].partition("\n---")[0]
    assert "This program needs a real server" in after


def test_every_program_is_run_and_shown() -> None:
    run_here = {f"{name}.py" for name in (*WITH_OUTPUT, "hello", "shop", "shopping", "following", "test_shop")}
    assert {path.name for path in TUTORIAL.glob("*.py")} == run_here == shown_in("tutorial")
