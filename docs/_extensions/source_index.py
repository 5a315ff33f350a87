"""Index of the definitions in ``src/polysocket``: functions, classes, methods and the constants of modules.

The pages name a line of the code by a word. A word leads there if it has one definition, so that a reader can grep for
it. Needs nothing but Python: the tests use this index too.
"""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import polysocket

PACKAGE = Path(polysocket.__file__).parent


class Definition(NamedTuple):
    """One definition: its name within the module, the module's file and the line."""

    name: str
    path: str
    line: int


class NotOneDefinition(LookupError):
    """A word that has no definition, or more than one."""


def definition(word: str) -> Definition:
    """Return the only definition of a word. Raises NotOneDefinition."""
    found = definitions().get(word, [])
    if len(found) != 1:
        places = ", ".join(f"{each.path}:{each.line}" for each in found) or "none"
        raise NotOneDefinition(f"{word!r} must have one definition in src, but has {len(found)}: {places}")
    return found[0]


def constant(word: str) -> Any:
    """Return the value of a module's constant, whichever module defines it."""
    module = definition(word).path.removesuffix(".py").replace("/", ".")
    return getattr(importlib.import_module(f"polysocket.{module}"), word.rpartition(".")[2])


def reason(word: str) -> str:
    """Return the comment or docstring of a module's constant, which says why it has its value. Raises LookupError."""
    place = definition(word)
    source = (PACKAGE / place.path).read_text(encoding="utf-8")
    lines = source.splitlines()
    comments = [lines[place.line - 1].partition("  # ")[2]]
    above = place.line - 2
    while lines[above].startswith("# "):
        comments.insert(0, lines[above].removeprefix("# "))
        above -= 1
    for constant, after in pairwise(ast.parse(source).body):
        match after:
            case ast.Expr(value=ast.Constant(value=str(docstring))) if constant.lineno == place.line:
                comments.append(docstring)
    text = " ".join(" ".join(comments).split())
    if not text:
        raise LookupError(f"{word} needs a comment with its reason: {place.path}:{place.line}")
    return text[0].upper() + text[1:]


@cache
def definitions() -> dict[str, list[Definition]]:
    """Index the package by name; a method with its class and a name with its module too."""
    index: dict[str, list[Definition]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        module = path.relative_to(PACKAGE).as_posix()
        for name, line in _defined(tree, ""):
            for word in {name, name.rpartition(".")[2], f"{path.stem}.{name}"}:
                index.setdefault(word, []).append(Definition(name, module, line))
    return index


def _defined(node: ast.Module | ast.ClassDef, prefix: str) -> Iterator[tuple[str, int]]:
    for each in node.body:
        match each:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield prefix + name, each.lineno
            case ast.ClassDef(name=name):
                yield prefix + name, each.lineno
                yield from _defined(each, f"{prefix}{name}.")
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                if isinstance(node, ast.Module):
                    yield name, each.lineno
