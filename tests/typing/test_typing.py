"""Type checkers accept the files of right code and find each misuse in ``misuse.py``.

mypy and pyright check these files, and the documentation's programs, in their strict modes, without this project's
settings. Each misuse has a comment that names the rule. An unnecessary comment is an error, so a misuse that passes
fails the test.
"""

from __future__ import annotations

import importlib.util
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
from typing import Any

import pytest

import polysocket

HERE = pathlib.Path(__file__).parent
EXAMPLES = HERE.parents[1] / "docs" / "examples"
SOURCE = pathlib.Path(polysocket.__file__).parent.parent
RIGHT = ["api.py", "programs.py", "values.py"]
MARK = re.compile(r"# (type|pyright): ignore\[")

PYRIGHT = {
    "typeCheckingMode": "strict",
    "enableTypeIgnoreComments": False,  # those comments are mypy's
    "reportUnnecessaryTypeIgnoreComment": "error",
}


def check(*command: str | os.PathLike[str], env: dict[str, str] | None = None) -> tuple[str, int]:
    process = subprocess.run(
        [sys.executable, "-m", *command], capture_output=True, text=True, env={**os.environ, **(env or {})}, check=False
    )
    return process.stdout or process.stderr, process.returncode


needs_mypy = pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason="mypy is not installed")
needs_pyright = pytest.mark.skipif(importlib.util.find_spec("pyright") is None, reason="pyright is not installed")
needs_their_libraries = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("opentelemetry", "prometheus_client", "trio", "twisted")),
    reason="libraries of the documentation's programs are missing",
)


@needs_mypy
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", [*RIGHT, "misuse.py"])
def test_mypy_accepts_right_code_and_finds_each_misuse(name: str, tmp_path: pathlib.Path) -> None:
    mypy(tmp_path, HERE / name)


@needs_mypy
@needs_their_libraries
@pytest.mark.timeout(300)
def test_mypy_finds_only_the_errors_that_the_documentation_names(tmp_path: pathlib.Path) -> None:
    mypy(tmp_path, *sorted(EXAMPLES.glob("*.py")))


def mypy(tmp_path: pathlib.Path, *files: pathlib.Path) -> None:
    # mypy searches site-packages anyway, and refuses it in MYPYPATH
    path = {} if SOURCE.name == "site-packages" else {"MYPYPATH": os.fspath(SOURCE)}
    report, status = check("mypy", "--strict", "--config-file=", f"--cache-dir={tmp_path}", *files, env=path)
    assert status == 0, report


@needs_pyright
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", [*RIGHT, "misuse.py"])
def test_pyright_accepts_right_code_and_finds_each_misuse(name: str, tmp_path: pathlib.Path) -> None:
    assert pyright(tmp_path, HERE / name) == {}


@needs_pyright
@needs_their_libraries
@pytest.mark.timeout(300)
def test_pyright_finds_only_the_errors_that_mypy_finds_in_the_documentation(tmp_path: pathlib.Path) -> None:
    wrong = EXAMPLES / "misuse.py"
    untyped = EXAMPLES / "twisted_effect.py"  # Twisted's types are incomplete
    seen = pyright(tmp_path, *(path for path in EXAMPLES.glob("*.py") if path != untyped))
    lines = wrong.read_text(encoding="utf-8").splitlines()
    assert set(seen.pop(wrong.name)) >= {number for number, line in enumerate(lines, 1) if MARK.search(line)}
    assert seen == {}


def pyright(tmp_path: pathlib.Path, *files: pathlib.Path) -> dict[str, dict[int, str]]:
    """Return what pyright finds, by file and line."""
    for file in files:
        shutil.copy(file, tmp_path)  # pyright reads only files of its project
    (tmp_path / "pyrightconfig.json").write_text(json.dumps({**PYRIGHT, "extraPaths": [os.fspath(SOURCE)]}))
    output, _ = check("pyright", "--outputjson", "--pythonpath", sys.executable, "--project", tmp_path)
    report: dict[str, Any] = json.loads(output)
    assert report["summary"]["filesAnalyzed"] == len(files), output
    found: dict[str, dict[int, str]] = {}
    for each in report["generalDiagnostics"]:
        line = each.get("range", {"start": {"line": -1}})["start"]["line"] + 1
        found.setdefault(pathlib.Path(each["file"]).name, {})[line] = each["message"]
    return found


def test_each_misuse_names_a_rule_of_both_checkers_and_right_code_names_none() -> None:
    for line in (HERE / "misuse.py").read_text().splitlines():
        assert sorted(MARK.findall(line)) in ([], ["pyright", "type"]), line
    assert not any(MARK.search((HERE / name).read_text()) for name in RIGHT)
