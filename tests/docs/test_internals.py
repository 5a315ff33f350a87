"""The page for maintainers names lines of the code: each word leads to one definition, each close code is explained."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs._extensions.source_index import PACKAGE, definition, definitions
from polysocket._core import close_codes

INTERNALS = (Path(__file__).parents[2] / "docs" / "internals.rst").read_text(encoding="utf-8")
SOURCES = {path.relative_to(PACKAGE).as_posix(): path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")}

WHICH_LINE = re.split(r"^Which line …\n-+\n", INTERNALS, flags=re.MULTILINE)[1].partition("\n---")[0]
QUESTIONS = re.findall(r"\* - (.+\?)\n +- :source:`(.+?)`", WHICH_LINE)
WORDS = set(re.findall(r":source:`(.+?)`", INTERNALS))


@pytest.mark.parametrize(("question", "word"), QUESTIONS)
def test_one_grep_answers_which_line(question: str, word: str) -> None:
    found = definition(word)
    line = SOURCES[found.path].splitlines()[found.line - 1]
    assert re.search(rf"\b{word.rpartition('.')[2]}\b", line)
    if "." in word:  # a function of a module: its calls name both
        assert any(re.search(rf"\b{re.escape(word)}\b", source) for source in SOURCES.values())


@pytest.mark.parametrize(
    "subject",
    [
        "answers a Ping",
        "memory of received frames",
        "size of a message",
        "wakes a reader, or a sender",
        "decides the close code",
        "elects the caller that reads",
        "makes a sender wait for its turn",
        "masks a frame",
        "decodes a plain data frame",
        "passes bytes to wsproto",
        "explains a protocol error",
        "UTF-8",
        "before it is sent",
        "next state",
        "follows a redirect",
        "chooses the proxy",
        "lifts a method to ``F``",
        "reader in the background",
        "tells the observers",
        "closes after a ``with`` block",
    ],
)
def test_the_table_answers_what_a_stranger_asks(subject: str) -> None:
    assert any(subject in question for question, _ in QUESTIONS)


@pytest.mark.parametrize("word", sorted(WORDS))
def test_each_name_on_the_page_has_one_definition(word: str) -> None:
    assert definition(word)


def test_a_method_of_many_classes_is_not_one_definition() -> None:
    assert len(definitions()["abort"]) > 1
    with pytest.raises(LookupError, match="'abort' must have one definition"):
        definition("abort")


@pytest.mark.parametrize("event", close_codes.__all__)
def test_each_close_code_of_the_table_is_sent_from_there(event: str) -> None:
    assert any(re.search(rf"\bclose_codes\.{event}\b", source) for source in SOURCES.values())
