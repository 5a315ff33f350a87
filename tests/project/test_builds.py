"""The plain build is plain Python, also if compiled files are there."""

from __future__ import annotations

import os
import subprocess
import sys

import polysocket

MODULES = """
import sys, polysocket.asyncio
files = [module.__file__ for name, module in sys.modules.items() if name.startswith("polysocket")]
print(polysocket.is_compiled, *{file.rpartition(".")[2] for file in files})
"""


def modules(**environment: str) -> list[str]:
    """Return whether a new process runs compiled files, and the suffixes of all modules of polysocket there."""
    command = [sys.executable, "-c", MODULES]
    return subprocess.check_output(command, env={**os.environ, **environment}, text=True, timeout=30).split()


def test_the_environment_forces_the_plain_files() -> None:
    assert modules(POLYSOCKET_PURE="1") == ["False", "py"]


def test_other_values_force_nothing() -> None:
    is_compiled, *suffixes = modules(POLYSOCKET_PURE="0")
    assert is_compiled == str(any(suffix != "py" for suffix in suffixes))
    if "POLYSOCKET_PURE" not in os.environ:
        assert is_compiled == str(polysocket.is_compiled)
