"""Docstrings, comments, texts, documentation and names are plain English: no phrase that the style guide rules out.

Each failure names the file, the line, the phrase and what to write instead. There is no list of files to skip: if a
phrase is right in some place, make its pattern narrower. Functions start with a verb. A property or a test may start
with "The" or "Whether". A name is read as words: ``test_who_waits`` is "test who waits".
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]

FILES = sorted(
    [
        *ROOT.glob("src/**/*.py"),
        *ROOT.glob("tests/**/*.py"),
        *ROOT.glob("docs/*.py"),
        *ROOT.glob("docs/_extensions/*.py"),
        *ROOT.glob("docs/examples/*.py"),
        *(page for page in ROOT.glob("docs/**/*.rst") if "_build" not in page.parts),
        *ROOT.glob("*.md"),
    ]
)

FIRST_WORDS = {
    r"What|Who|Whose|Whom|That|As|The same": "a verb for a function, a noun phrase for a class, property or module",
}
FIRST_WORDS_OF_FUNCTIONS = {
    r"The|Whether|A|An|How|Where|When|If": "an imperative verb: Return …, Send …, Raise …",
    r"Gives?|Tells?\s+(?:whether|if)": "Return …",
}

PHRASES = {
    r"whoever|whomever": "the caller, the task or the thread that …",
    r"somebody|someone|nobody|no one": "a caller, a task, a user, no caller …",
    r"(?:the )?other side(?:'s)?": "the peer",
    r"(?<!there\s)(?:is|are|was|be) (?-i:none)": "is not a …, there is no …",
    r"so (?:many|much)": "that many, at most n, more than …",
    r"nothing of the kind": "name what is missing",
    r"(?<!left\s)behind(?! (?:a|an|the|your|our) (?:\w+ )?(?:proxy|proxies|firewall|NAT|balancer))": "after",
    r"(?:raised|raises|ended|ends|returned|returns|called|None|True|False|cancelled|fails?|refused|dropped|only|even|also)"
    r" where": "if, when",
    r"where (?:there (?:is|are|was|were)|no|none|nothing|many|few|possible|needed)": "if, when",
    r"(?:(?<=[.;:]\s)|\A)where (?:an?|the|it|they|this|one|two|no|nothing|many|some|both|each|threads?)": "if, when",
    r"(?:(?<=[;,]\s)|(?<=\())where (?:an?|it|the|they|that|this|threads?)": "if, when; or a sentence of its own",
    r"(?:and|but|once|refused first|at once|masked) where (?:an?|it|the|they|that|this|``)": "if, when",
    r"`{0,2}\w+(?:Error|Closed|Frame|Failed|Handler|Request|Response|URL)`{0,2},? where": "if, when",
    r"gives(?! (?:up|way|rise))": "returns, yields, calls with",
    r"(?:[;,] |and )give (?:the|its|their|an?|it|them)": "return, pass",
    r"by (?:which|whom)": "with which, through which, that",
    r"by (?:TLS|TCP|SOCKS5?|Unix sockets|HTTP)": "over, via",
    r"(?:enter|enters|entered|entering|leave|leaves|catch|caught|mark|marked|install|installed|build|run|runs|read)"
    r"(?: it| them)? by ``\w+": "with, using",
    r"in the place of": "instead of, in place of",
    r"for ever": "forever",
    r"without a word": "silently",
}

PHRASES_OF_TESTS = {
    r"who|whom": "the caller, the task or the thread that …",
    r"where": "if, when",
    r"tells?": "says, names, carries",
    r"gives?(?! (?:up|way|rise))": "returns, yields, calls with",
    r"(?<!there\s)is no": "is not a …",
    r"\w+ s": "of the …",
}


class Found(NamedTuple):
    line: int
    phrase: str
    instead: str

    def __str__(self) -> str:
        return f"{self.line}: {self.phrase!r}; write: {self.instead}"


def compiled(phrase: str) -> re.Pattern[str]:
    """Return the pattern of a phrase, whose words may be on two lines."""
    words = phrase.replace(" ", r"\s+")
    return re.compile(rf"(?<![\w`])(?:{words})(?![\w`])", re.IGNORECASE)


PATTERNS = [(compiled(phrase), instead) for phrase, instead in PHRASES.items()]
PATTERNS_OF_TESTS = PATTERNS + [(compiled(phrase), instead) for phrase, instead in PHRASES_OF_TESTS.items()]


def phrases_in(text: str, line: int, patterns: list[tuple[re.Pattern[str], str]] = PATTERNS) -> Iterator[Found]:
    """Find the phrases of a text that begins at a line."""
    for pattern, instead in patterns:
        for match in pattern.finditer(text):
            yield Found(line + text.count("\n", 0, match.start()), " ".join(match[0].split()), instead)


def first_word_of(doc: str, line: int, *, is_function: bool) -> Iterator[Found]:
    """Find a first word that the docstring of such an object may not have."""
    for words, instead in {**FIRST_WORDS, **(FIRST_WORDS_OF_FUNCTIONS if is_function else {})}.items():
        if match := re.match(rf"\s*({words})\b", doc):
            yield Found(line, f"{match[1]} … (first word of a docstring)", instead)


def is_noun(node: ast.AST) -> bool:
    """Return whether a function's docstring may be a noun phrase or a sentence: a property's, a fixture's, a test's."""
    if getattr(node, "name", "").startswith("test_"):
        return True
    decorators = [ast.unparse(each) for each in getattr(node, "decorator_list", [])]
    return any(re.search(r"property|fixture", each) for each in decorators)


def docstrings_in(tree: ast.Module) -> Iterator[tuple[str, int, bool]]:
    """Find each docstring with its line, and whether it is a function's; those below an attribute too."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for number, statement in enumerate(node.body):
            if (
                isinstance(statement, ast.Expr)
                and isinstance(statement.value, ast.Constant)
                and isinstance(statement.value.value, str)
            ):
                is_own = number == 0
                yield statement.value.value, statement.lineno, is_own and is_function and not is_noun(node)


def texts_in(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Find each string; what an f-string inserts is left out."""
    inside: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            inside.update(id(part) for part in node.values)
            parts = (part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
            yield "".join(map(str, parts)), node.lineno
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            yield node.value, node.lineno


def phrases_in_names(tree: ast.Module) -> Iterator[Found]:
    """Find the phrases in the names of functions and classes; those of tests are promises, and read more strictly."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            patterns = PATTERNS_OF_TESTS if node.name.startswith("test_") else PATTERNS
            words = re.sub(r"\bnone\b", "None", node.name.replace("_", " "))  # a name writes the value None like this
            yield from phrases_in(words, node.lineno, patterns)


def comments_in(source: str) -> Iterator[tuple[str, int]]:
    """Find each comment; one of many lines is one text."""
    text, first, last = "", 0, -1
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        words = token.string.lstrip("#: ")
        if token.start[0] == last + 1:
            text += "\n" + words
        else:
            yield text, first
            text, first = words, token.start[0]
        last = token.start[0]
    yield text, first


def faults_of_program(source: str, *, has_examples: bool = False) -> Iterator[Found]:
    """Look at docstrings, comments, names and other strings; strings that are examples of faults are left out."""
    tree = ast.parse(source)
    docstrings = [(doc, line) for doc, line, _ in docstrings_in(tree)]
    for doc, line, is_function in docstrings_in(tree):
        yield from first_word_of(doc, line, is_function=is_function)
    for text, line in (*(docstrings if has_examples else texts_in(tree)), *comments_in(source)):
        yield from phrases_in(text, line)
    yield from phrases_in_names(tree)


def faults_of_prose(source: str) -> Iterator[Found]:
    """Look at prose; code in it is blanked."""
    source = re.sub(
        r"^```.*?^```", lambda block: re.sub(r"[^\n]", " ", block[0]), source, flags=re.DOTALL | re.MULTILINE
    )
    yield from phrases_in(source, 1)


def faults_of(path: Path) -> list[Found]:
    source = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        return sorted(set(faults_of_prose(source)))
    return sorted(set(faults_of_program(source, has_examples=path == Path(__file__))))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_file_is_written_in_plain_english(path: Path) -> None:
    faults = [f"{path.relative_to(ROOT)}:{fault}" for fault in faults_of(path)]
    assert not faults, "\n".join(["see the style guide's table:", *faults])


REFUSED = [
    '"""Who reads: the caller."""',
    'def f():\n    """Whether it is open."""',
    'def f():\n    """The error of a closed websocket."""',
    'def f():\n    """Give the position."""',
    'class C:\n    """What a flavour is made of."""',
    "# Elect whoever waits.",
    "# A long comment ends where\n# it says so, and where there\n# is no more.",
    "raise E('the other side broke the protocol')",
    "raise E(f'{x!r} is none')",
    "raise E('received ' 'so many bytes')",
    '"""Frames that come behind the Close."""',
    '"""One. Where the websocket has ended, the error."""',
    '"""None where the\nconnection has ended."""',
    '"""A function that gives its result."""',
    '"""Raises :class:`UnexpectedFrame` where it is text."""',
    '"""Close the websocket; where that is cancelled, its connection is ended."""',
    '"""The port by\nwhich it connects."""',
    "def test_who_discards_waits():\n    pass",
    "def test_an_answer_behind_a_close():\n    pass",
    "def test_what_is_no_url():\n    pass",
    "def test_trio_s_own_clock():\n    pass",
    "class NobodyElse:\n    def nobody_came(self):\n        pass",
]

ACCEPTED = [
    '"""Elect one waiting caller to read from the stream on behalf of all."""',
    '"""A program behind a proxy."""',
    '"""Wait for a frame if there is none."""',
    'def test_it():\n    """The peer reads nothing, then everything."""',
    '"""The place where a name is looked up."""',
    'class C:\n    @property\n    def is_failing(self):\n        """Whether a protocol error is pending."""',
    'class C:\n    """The error of a closed websocket."""',
    'behind_a_proxy = "somebody_else"',
    "def test_a_connection_behind_a_proxy_is_closed():\n    pass",
    "def test_an_error_if_there_is_no_answer():\n    pass",
    "def no_thread_left_behind():\n    pass",
    "def lookup_where():\n    pass",
    "def test_no_limit_if_max_message_size_is_none():\n    pass",
    '"""A caller gives up after 10 seconds; then the value is None."""',
]


@pytest.mark.parametrize("source", REFUSED)
def test_a_phrase_that_the_style_guide_rules_out_is_found(source: str) -> None:
    assert list(faults_of_program(source))


@pytest.mark.parametrize("source", ACCEPTED)
def test_plain_english_is_accepted(source: str) -> None:
    assert not list(faults_of_program(source))
