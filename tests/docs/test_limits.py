"""The page of limits has a row for each limit in the code."""

from __future__ import annotations

import ast
import re

import pytest

from docs._extensions.limit_rows import LIMITS, Limit
from docs._extensions.source_index import PACKAGE, reason

IS_LIMIT = re.compile(r"(DEFAULT_)?MAX_\w+|[A-Z]\w+_CAPACITY|[A-Z]\w+_AHEAD|DEFAULT_TIMEOUT")
INSIDE = {
    "MAX_SHOWN": "it bounds the text of an error, not what a peer can use",
    "WRITE_AHEAD": "it mirrors the limit of asyncio and Twisted, and sets none",
}


def named() -> list[str]:
    """List the constants of modules whose names are those of limits."""
    found = set[str]()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            match node:
                case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                    if IS_LIMIT.fullmatch(name) and name not in INSIDE:
                        found.add(name)
    return sorted(found)


@pytest.mark.parametrize("name", named())
def test_a_limit_has_a_row(name: str) -> None:
    assert name in {word.rpartition(".")[2] for limit in LIMITS for word in limit.constants}


@pytest.mark.parametrize("limit", LIMITS, ids=lambda limit: limit.of)
def test_a_limit_has_a_reason(limit: Limit) -> None:
    assert all(len(reason(word)) > 10 for word in limit.constants)
