"""Each Python program of the README runs as it is, except for the server's URL."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from polysocket import basic_request
from polysocket.testing import EchoServer
from tests.docs.programs import HAS_TRIO, execute

README = Path(__file__).parents[2] / "README.md"
PROGRAMS = re.findall(r"^```python\n(.*?)^```", README.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
PRINTED = ["Hello!\n"] * 5 + ["Blocking?\nAsyncio?\n"]


def runs() -> list[int]:
    return [number for number, source in enumerate(PROGRAMS) if HAS_TRIO or "import trio" not in source]


@pytest.mark.parametrize("number", runs())
def test_a_program_of_the_readme_prints_what_comes_back(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    with EchoServer(limits=basic_request.subprotocol("chat.v2")) as server:
        execute(PROGRAMS[number], f"README.md, program {number + 1}", server.url, {})
    assert capsys.readouterr().out == PRINTED[number]


def test_the_readme_has_as_many_programs_as_are_checked() -> None:
    assert len(PROGRAMS) == len(PRINTED)
