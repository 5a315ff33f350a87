"""The build in use is the one that was asked for, as a whole: no compiled module is mixed with plain ones."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import polysocket
from benchmarks.server import ROOT


@pytest.mark.parametrize("pure", [{}, {"POLYSOCKET_PURE": "1"}], ids=["as it is", "POLYSOCKET_PURE=1"])
def test_the_build_in_use_is_complete_and_works(pure: dict[str, str]) -> None:
    """``nox -s lint`` checks a wheel that was built without a C compiler in the same way."""
    build = "compiled" if polysocket.is_compiled and not pure else "plain"
    done = subprocess.run(
        [sys.executable, "-W", "error", "tests/installed.py", build],
        cwd=ROOT,
        env={**os.environ, **pure},
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert f"works: {build}" in done.stdout
