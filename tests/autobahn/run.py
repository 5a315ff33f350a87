"""Run the Autobahn TestSuite against polysocket's client, in the given flavours or in all of them.

Prints how the cases ended. The exit status is 0 if each case is OK or INFORMATIONAL, both in its messages and in its
closing; 1 if any case is not; 3 if nothing ran, because the suite needs Python 2.7, which was not found.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from typing import TypeAlias

FLAVOURS = ["blocking", "asyncio", "trio"]
GOOD = {"OK", "INFORMATIONAL"}
SLOW = ["9.*", "12.*", "13.*"]  # limits and compression
CLIENT = pathlib.Path(__file__).with_name("client.py")
HOME = pathlib.Path(os.environ.get("AUTOBAHN_HOME", "~/.cache/autobahn")).expanduser()
SUITE = [  # the last versions that work together on Python 2.7
    "autobahntestsuite==0.8.2",
    "autobahn==0.10.9",
    "cryptography==3.3.2",
    "klein==20.6.0",
    "pyOpenSSL==21.0.0",
    "Twisted==20.3.0",
    "ujson==2.0.3",
    "Werkzeug==1.0.1",
    "wsaccel==0.6.6",
]

Result: TypeAlias = dict[str, str]


class NoPython27(Exception):
    """The suite can't be installed here."""


def installed_suite() -> pathlib.Path:
    """Return the path of the suite's command; install the suite if it is missing."""
    wstest = HOME / "bin" / "wstest"
    if not wstest.exists():
        versions = pathlib.Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser() / "versions"
        candidates = [*versions.glob("2.7.*/bin/python2.7"), pathlib.Path("/usr/bin/python2.7")]
        python = next((candidate for candidate in candidates if candidate.exists()), None)
        if python is None:
            raise NoPython27
        print(f"installing the Autobahn TestSuite into {HOME}", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            tool: list[str | pathlib.Path] = [python, "-W", "ignore", "-m"]
            subprocess.run([*tool, "pip", "install", "-qq", "--target", folder, "virtualenv==20.15.1"], check=True)
            environment = os.environ | {"PYTHONPATH": folder}
            subprocess.run([*tool, "virtualenv", "--quiet", HOME], env=environment, check=True)
        subprocess.run([HOME / "bin" / "pip", "install", "-qq", *SUITE], check=True)
    return wstest


@contextlib.contextmanager
def fuzzing_server(wstest: pathlib.Path, cases: list[str], exclude: list[str], out: pathlib.Path) -> Iterator[str]:
    """Run the suite's server on a free port of the loopback, and yield its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    url = f"ws://127.0.0.1:{port}"
    spec = out / "spec.json"
    spec.write_text(json.dumps({"url": url, "outdir": str(out), "cases": cases, "exclude-cases": exclude}))
    command: list[str | pathlib.Path] = [wstest, "--mode", "fuzzingserver", "--webport", "0", "--spec", spec]
    with (out / "wstest.log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as server:
        try:
            wait_until_it_listens(port, server)
            yield url
        finally:
            server.kill()


def wait_until_it_listens(port: int, server: subprocess.Popen[bytes], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while server.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    sys.exit("autobahn: the fuzzing server did not start; see wstest.log")


def results_of(flavour: str, url: str, out: pathlib.Path, seconds: float) -> dict[str, Result]:
    """Run the client through all cases; return no results if it did not finish."""
    try:
        subprocess.run([sys.executable, CLIENT, flavour, url], timeout=seconds, check=True)
        results: dict[str, Result] = json.loads((out / "index.json").read_text())[flavour]
    except (subprocess.SubprocessError, OSError, KeyError) as error:
        print(f"{flavour}: the client did not finish: {error!r}")
        return {}
    return results


def report(flavour: str, results: dict[str, Result]) -> bool:
    """Print a line for the flavour and one for each failed case; return whether all cases passed."""
    endings = Counter(result["behavior"] for result in results.values())
    closings = Counter(result["behaviorClose"] for result in results.values())
    print(f"{flavour:<9} {len(results)} cases  messages: {table(endings)}  closing: {table(closings)}", flush=True)
    bad = {case: r for case, r in results.items() if not {r["behavior"], r["behaviorClose"]} <= GOOD}
    for case in sorted(bad, key=lambda case: [int(part) for part in case.split(".")]):
        print(f"  {case}: {bad[case]['behavior']}, closing {bad[case]['behaviorClose']}")
    return bool(results) and not bad


def table(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {ending}" for ending, count in counts.most_common())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("flavours", nargs="*", metavar="FLAVOUR", help=f"of {', '.join(FLAVOURS)}")
    parser.add_argument("--quick", action="store_true", help=f"leave out the slow cases: {' '.join(SLOW)}")
    parser.add_argument("--cases", nargs="+", default=["*"], metavar="PATTERN", help="only these, such as 7.*")
    parser.add_argument("--out", type=pathlib.Path, help="folder for the reports (default: a new one)")
    parser.add_argument("--timeout", type=float, default=3600, help="seconds for each flavour (default: 3600)")
    options = parser.parse_args()
    try:
        wstest = installed_suite()
    except NoPython27:
        print("autobahn: not run: the suite needs Python 2.7, and none was found under pyenv or in /usr/bin")
        return 3
    out = (options.out or pathlib.Path(tempfile.mkdtemp(prefix="autobahn-"))).absolute()
    out.mkdir(parents=True, exist_ok=True)
    (out / "index.json").unlink(missing_ok=True)
    good = True
    with fuzzing_server(wstest, options.cases, SLOW if options.quick else [], out) as url:
        for flavour in options.flavours or FLAVOURS:
            good &= report(flavour, results_of(flavour, url, out, options.timeout))
    print(f"report: {out / 'index.html'}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
