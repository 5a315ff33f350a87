"""The command in a process of its own, at pipes or at a terminal."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import polysocket

LIMIT = 40  # seconds for each step: far more than any takes, on a busy machine too

COMMAND = (sys.executable, "-m", "polysocket")

# A shell's background jobs ignore SIGINT, and those of nohup SIGHUP; their children inherit that. fd 0 may be the
# terminal to control.
LAUNCHER = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
if sys.argv[1] == "terminal":
    os.login_tty(os.dup(0))
os.execv(sys.executable, [sys.executable, "-m", "polysocket", *sys.argv[2:]])
"""


def environment(*folders: Path, **variables: str) -> dict[str, str]:
    """Return the environment of a command that imports this polysocket, after modules in the folders."""
    path = [*map(str, folders), str(Path(polysocket.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path), "PYTHONDONTWRITEBYTECODE": "1", **variables}


class Ended(NamedTuple):
    """The exit status and the output of a command."""

    status: int
    out: bytes
    err: str


def run(*arguments: str, lines: bytes = b"", **variables: str) -> Ended:
    """Run the command to its end, with lines as its whole input."""
    env = environment(**variables)
    ran = subprocess.run([*COMMAND, *arguments], input=lines, capture_output=True, check=False, timeout=LIMIT, env=env)
    return Ended(ran.returncode, ran.stdout, ran.stderr.decode())


@contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start the command at pipes."""
    command = [*COMMAND, *arguments]
    if sys.platform != "win32":
        command = [sys.executable, "-c", LAUNCHER, "pipes", *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0, env=environment()) as process:
        try:
            yield process
        finally:
            process.kill()


def finish(process: subprocess.Popen[bytes]) -> Ended:
    """Close the input of a command, and wait for its end."""
    out, err = process.communicate(timeout=LIMIT)
    return Ended(process.returncode, out, err.decode())


def read_line(process: subprocess.Popen[bytes]) -> bytes:
    """Return the next line of the output."""
    assert process.stdout is not None
    return process.stdout.readline()


def write(process: subprocess.Popen[bytes], data: bytes) -> None:
    """Write to the input of a command."""
    assert process.stdin is not None
    process.stdin.write(data)


class Echo(NamedTuple):
    """A running ``polysocket echo``."""

    process: subprocess.Popen[bytes]
    url: str


@contextmanager
def echo(*options: str) -> Iterator[Echo]:
    """Run ``polysocket echo`` on a free port, unless the options name one."""
    with started("echo", "--port", "0", *options) as process:
        yield Echo(process, read_line(process).decode().strip())


class Terminal:
    """A command at a pseudo-terminal."""

    def __init__(self, process: subprocess.Popen[bytes], descriptor: int) -> None:
        self.process = process
        self._descriptor = descriptor
        self._screen = ""

    def type(self, text: str) -> None:
        """Type keys."""
        os.write(self._descriptor, text.encode())

    def read_until(self, pattern: str) -> str:
        """Return what the command has written, up to a pattern."""
        deadline = time.monotonic() + LIMIT
        while not (found := re.search(pattern, self._screen)):
            assert select.select([self._descriptor], [], [], max(deadline - time.monotonic(), 0))[0], self._screen
            self._screen += os.read(self._descriptor, 4096).decode(errors="replace")
        shown, self._screen = self._screen[: found.end()], self._screen[found.end() :]
        return shown

    def finish(self) -> Ended:
        """Wait for the end of the command."""
        while True:
            assert select.select([self._descriptor], [], [], LIMIT)[0], self._screen
            try:
                data = os.read(self._descriptor, 4096)
            except OSError:  # Linux reports the end of a terminal's last process so.
                data = b""
            if not data:
                break
            self._screen += data.decode(errors="replace")
        return Ended(self.process.wait(LIMIT), self._screen.encode(), "")


@contextmanager
def terminal(*arguments: str, folders: tuple[Path, ...] = ()) -> Iterator[Terminal]:
    """Start the command at a terminal."""
    master, slave = os.openpty()
    command = [sys.executable, "-c", LAUNCHER, "terminal", *arguments]
    # prompt_toolkit would ask the terminal for the position of its cursor, and wait for the answer.
    env = environment(*folders, TERM="xterm", PROMPT_TOOLKIT_NO_CPR="1")
    try:
        with subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=env) as process:
            os.close(slave)
            try:
                yield Terminal(process, master)
            finally:
                process.kill()
    finally:
        os.close(master)


def interrupt(process: subprocess.Popen[bytes]) -> None:
    """Send what Ctrl-C sends."""
    process.send_signal(signal.SIGINT)
