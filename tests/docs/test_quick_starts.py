"""The quick starts of the README and the documentation run as they stand against ``polysocket echo``."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from tests.cli.processes import LIMIT, echo, environment

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"
README = (ROOT / "README.md").read_text(encoding="utf-8")
PORT = 8765
README_PRINTS = ["Hello!\n"] * 5 + ["Blocking?\nAsyncio?\n"]


def quick_starts() -> dict[str, tuple[str, str]]:
    """Return the source of each quick start, and what it prints."""
    programs = re.findall(r"^```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    found = {f"README.md, program {n}": each for n, each in enumerate(zip(programs, README_PRINTS, strict=True), 1)}
    found |= {each.stem: (each.read_text(encoding="utf-8"), "Hello!\n") for each in EXAMPLES.glob("quickstart_*.py")}
    return {name: each for name, each in found.items() if has_libraries(each[0])}


def has_libraries(source: str) -> bool:
    return all(find_spec(each) for each in re.findall(r"^import (anyio|trio)$", source, re.MULTILINE))


def is_free(port: int) -> bool:
    with socket.socket() as sock:
        if sys.platform != "win32":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


# One test, since they share the one port that they name.
def test_each_quick_start_runs_as_it_stands_against_the_echo_server() -> None:
    programs = quick_starts()
    port = PORT if is_free(PORT) else 0  # If another program has the port, the number is replaced.
    printed: dict[str, str] = {}
    with echo("--port", str(port)) as server:
        for name, (source, _) in programs.items():
            program = source if port else source.replace(f"ws://localhost:{PORT}/", server.url)
            ran = subprocess.run(
                [sys.executable, "-W", "error", "-c", program],
                capture_output=True,
                text=True,
                check=False,
                timeout=LIMIT,
                env=environment(),
            )
            printed[name] = ran.stdout + ran.stderr
    assert printed == {name: prints for name, (_, prints) in programs.items()}


def test_the_readme_and_the_guide_say_how_to_run_the_echo_server() -> None:
    assert "polysocket echo\n" in README
    assert f"polysocket ws://localhost:{PORT}/\n" in README
    for page in ("docs/guide/start.rst", "docs/guide/command.rst"):
        assert "   polysocket echo" in (ROOT / page).read_text(encoding="utf-8")
