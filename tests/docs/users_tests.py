"""Run test files of the documentation with pytest in a process of its own, as a user does."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import polysocket


def run_tests(folder: Path, *files: str) -> str:
    """Run the files in a folder, with warnings as errors, and return the output. All tests pass."""
    known = {plugin.value for plugin in entry_points(group="pytest11")}
    plugin = [] if "pytest_polysocket" in known else ["-p", "pytest_polysocket"]
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-W", "error", "-p", "no:cacheprovider", *plugin, *files],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": os.pathsep.join(
                [str(Path(polysocket.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
            ),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout
