"""Run a sample of the machines' cases, the same each time, whose seed a failure shows.

``INTERRUPTIONS_SEED`` chooses another sample. ``nox -s interruptions`` runs all cases.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import pytest

SAMPLES = {"blocking": 60, "threaded": 40, "asyncio": 3, "uvloop": 3, "trio": 3}
"""How many cases of each conversation: a few seconds of each machine."""

NEEDED = {"uvloop": "uvloop", "trio": "trio"}
MACHINES = [name for name in SAMPLES if importlib.util.find_spec(NEEDED.get(name, "asyncio")) is not None]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.interruptions", *arguments]
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)


@pytest.mark.parametrize("machine", MACHINES)
def test_no_interruption_breaks_a_promise(machine: str) -> None:
    seed = os.environ.get("INTERRUPTIONS_SEED", "1")
    ran = run(machine, "--sample", str(SAMPLES[machine]), "--seed", seed)
    assert ran.returncode == 0, f"INTERRUPTIONS_SEED={seed} repeats this:\n{ran.stdout}"


@pytest.mark.parametrize(
    ("machine", "bug"),
    [
        ("blocking", "keep_the_reader"),
        ("blocking", "forget_lost_bytes"),
        ("asyncio", "wait_with_bytes_in_asyncio"),
        ("uvloop", "wait_with_bytes_in_asyncio"),
        ("trio", "wait_with_bytes_in_trio"),
    ],
)
def test_a_planted_bug_breaks_a_promise(machine: str, bug: str) -> None:
    if machine in MACHINES:
        ran = run(machine, "--sample", str(SAMPLES[machine]), "--seed", "1", "--planted", bug)
        assert "FAILED" in ran.stdout, ran.stdout
