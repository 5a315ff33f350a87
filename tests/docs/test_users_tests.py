"""The tests that the pages about pytest and FastAPI show pass, and every program for a framework is shown and typed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.docs.pages import EXAMPLES, shown_in
from tests.docs.users_tests import run_tests

FRAMEWORKS = EXAMPLES / "frameworks"
TYPED = ("cookbook", "debugging", "frameworks", "tutorial")  # Django has no types.
NEEDS = {"test_fastapi_chat": ("fastapi", "uvicorn"), "test_with_anyio": ("anyio", "trio")}


@pytest.mark.parametrize("name", [path.stem for path in sorted(FRAMEWORKS.glob("test_*.py"))])
def test_the_tests_of_a_page_pass(name: str, tmp_path: Path) -> None:
    for module in NEEDS.get(name, ()):
        pytest.importorskip(module)
    shutil.copy(FRAMEWORKS / f"{name}.py", tmp_path)
    assert " passed" in run_tests(tmp_path, f"{name}.py")


def test_every_program_is_shown() -> None:
    assert {path.name for path in FRAMEWORKS.glob("*.py")} == shown_in("frameworks")


@pytest.mark.skipif(
    any(find_spec(name) is None for name in ("fastapi", "mypy", "pydantic", "trio", "uvicorn")),
    reason="mypy or a library of the programs is not installed",
)
@pytest.mark.timeout(300)
def test_mypy_accepts_the_programs(tmp_path: Path) -> None:
    files = sorted(str(path) for folder in TYPED for path in (EXAMPLES / folder).glob("*.py"))
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", f"--cache-dir={tmp_path}", *files],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout
