"""The page for maintainers names lines of the code: each word leads to one definition, each close code is explained."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs._extensions.source_index import PACKAGE, definition, definitions
from polysocket import CloseCause, CloseCode

INTERNALS = (Path(__file__).parents[2] / "docs" / "internals.rst").read_text(encoding="utf-8")


def section(title: str) -> str:
    """Return the text of a section, without its title."""
    return re.split(rf"^{title}\n-+\n", INTERNALS, flags=re.MULTILINE)[1].partition("\n---")[0]


QUESTIONS = re.findall(r"\* - (.+\?)\n +- :source:`(.+)`", section("Which line …"))
ROWS = [re.findall(r"- (.+(?:\n       .+)*)", row) for row in section("Close codes").split("   * ")[2:]]
WORDS = set(re.findall(r":source:`(.+?)`", INTERNALS))


@pytest.mark.parametrize(("question", "word"), QUESTIONS)
def test_one_grep_answers_which_line(question: str, word: str) -> None:
    assert "." not in word, "a word to grep has no dots"
    found = definition(word)
    line = (PACKAGE / found.path).read_text(encoding="utf-8").splitlines()[found.line - 1]
    assert re.search(rf"\b{word}\b", line)


def test_the_table_answers_what_a_stranger_asks() -> None:
    questions = " ".join(question for question, _ in QUESTIONS)
    for subject in ("Ping", "memory", "sender", "close code", "reads", "masks", "UTF-8", "redirect"):
        assert subject in questions


@pytest.mark.parametrize("word", sorted(WORDS))
def test_each_name_on_the_page_has_one_definition(word: str) -> None:
    assert definition(word)


def test_a_method_of_many_classes_is_not_one_definition() -> None:
    assert len(definitions()["abort"]) > 1
    with pytest.raises(LookupError, match="'abort' must have one definition"):
        definition("abort")


def test_each_close_code_that_the_code_names_is_in_the_table() -> None:
    used = {
        code
        for path in PACKAGE.rglob("*.py")
        if "testing" not in path.parts
        for code in re.findall(r"\bCloseCode\.([A-Z_]+)", path.read_text(encoding="utf-8"))
    }
    assert used
    assert used <= set(re.findall(r"``([A-Z_]+)``", section("Close codes")))


def test_the_table_names_only_close_codes_and_causes() -> None:
    assert all(len(row) == 3 for row in ROWS)
    codes = {code for _, sent, _ in ROWS for code in re.findall(r"``([A-Z_]+)``", sent)}
    causes = {cause.strip("` \n") for _, _, cause in ROWS}
    assert codes <= set(CloseCode.__members__)
    assert causes == set(CloseCause.__members__)
