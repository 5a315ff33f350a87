"""Type checkers see the flavours as they are: ``api.py`` has no error, and each misuse in ``misuse.py`` has one.

Both files are checked by mypy and by pyright in their strict modes, without this project's own settings. A wrong line
names the rule that finds it; since a comment that finds nothing is an error, too, so is each misuse that passes.
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
SOURCE = pathlib.Path(polysocket.__file__).parent.parent
MARK = re.compile(r"# (type|pyright): ignore\[")

PYRIGHT = {
    "typeCheckingMode": "strict",
    "enableTypeIgnoreComments": False,  # these speak to mypy
    "reportUnnecessaryTypeIgnoreComment": "error",
}


def check(*command: str | os.PathLike[str], env: dict[str, str] | None = None) -> tuple[str, int]:
    process = subprocess.run(
        [sys.executable, "-m", *command], capture_output=True, text=True, env={**os.environ, **(env or {})}, check=False
    )
    return process.stdout or process.stderr, process.returncode


@pytest.mark.timeout(300)
@pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason="mypy is not installed")
@pytest.mark.parametrize("name", ["api.py", "misuse.py"])
def test_mypy_sees_what_is_right_and_what_is_wrong(name: str, tmp_path: pathlib.Path) -> None:
    # mypy looks for packages in site-packages by itself, and refuses to be told to look there
    path = {} if SOURCE.name == "site-packages" else {"MYPYPATH": os.fspath(SOURCE)}
    report, status = check(
        "mypy", "--strict", "--config-file=", f"--cache-dir={tmp_path}", os.fspath(HERE / name), env=path
    )
    assert status == 0, report


@pytest.mark.timeout(300)
@pytest.mark.skipif(importlib.util.find_spec("pyright") is None, reason="pyright is not installed")
@pytest.mark.parametrize("name", ["api.py", "misuse.py"])
def test_pyright_sees_what_is_right_and_what_is_wrong(name: str, tmp_path: pathlib.Path) -> None:
    shutil.copy(HERE / name, tmp_path)  # it reads no file outside of a project
    (tmp_path / "pyrightconfig.json").write_text(json.dumps({**PYRIGHT, "extraPaths": [os.fspath(SOURCE)]}))
    output, status = check("pyright", "--outputjson", "--pythonpath", sys.executable, "--project", tmp_path)
    report = json.loads(output)
    assert report["summary"]["filesAnalyzed"] == 1, output
    assert status == 0, "\n".join(f"{each['range']['start']['line'] + 1}: {each['message']}" for each in found(report))


def found(report: dict[str, Any]) -> list[dict[str, Any]]:
    diagnostics: list[dict[str, Any]] = report["generalDiagnostics"]
    return diagnostics


def test_each_misuse_is_for_both_checkers_and_what_is_right_for_none() -> None:
    for line in (HERE / "misuse.py").read_text().splitlines():
        assert sorted(MARK.findall(line)) in ([], ["pyright", "type"]), line
    assert not MARK.search((HERE / "api.py").read_text())
