"""Fuzz the sans-IO core: ``python -m tests.fuzzing --help``.

atheris searches in processes of its own for as much processor time as is asked for, from the corpus in the repository
and what earlier searches have found. At the end, the coverage of what was found is printed.
"""

from __future__ import annotations

import argparse
import pathlib
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable

from tests.fuzzing.corpus import CORPUS, inputs

DICTIONARY = pathlib.Path(__file__).with_name("http.dict")
ROUND = 300  # seconds after which libFuzzer starts anew, so that the processor time can be counted
LONGEST_INPUT = 2048  # bytes: chunks of one byte make longer ones slow


def search(target: str, folders: Iterable[pathlib.Path], *options: str) -> bool:
    """Run one round of a search; return whether an input broke the target."""
    command = [sys.executable, "-m", "tests.fuzzing.search", target, *options]
    command += [
        f"-max_len={LONGEST_INPUT}",
        "-rss_limit_mb=1024",
        "-timeout=20",
        "-print_final_stats=1",
        "-verbosity=1",
    ]
    if target != "connection":
        command.append(f"-dict={DICTIONARY}")
    return subprocess.run([*command, *map(str, folders)], check=False).returncode != 0


def find_planted_bug(target: str, seconds: int) -> bool:
    """Plant the target's bug; return whether a search that starts with an empty corpus finds it."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        found = search(
            target, [pathlib.Path(folder)], "--planted", f"-max_total_time={seconds}", f"-artifact_prefix={folder}/"
        )
    print(f"{target}: the planted bug was {'' if found else 'NOT '}found, after {time.monotonic() - start:.0f} seconds")
    return found


def fuzz(target: str, work: pathlib.Path, cpu_minutes: float) -> bool:
    """Search until the processor time is used; return whether no input broke the target."""
    found = work / target
    found.mkdir(parents=True, exist_ok=True)
    used, limit = 0.0, cpu_minutes * 60
    while used < limit:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = max(1, min(ROUND, int(limit - used) + 1))
        options = (f"-max_total_time={seconds}", f"-artifact_prefix={work}/broken-{target}-")
        is_broken = search(target, [found, CORPUS / target], *options)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used += after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        print(f"{target}: {used / 60:.1f} of {cpu_minutes} CPU minutes", flush=True)
        if is_broken:
            print(f"{target}: BROKEN by the input in {work}/broken-{target}-…")
            return False
    return True


def minimize(target: str, work: pathlib.Path) -> None:
    """Replace the target's corpus by the smallest part of all inputs that reaches the same code."""
    with tempfile.TemporaryDirectory() as folder:
        search(target, [pathlib.Path(folder), CORPUS / target, work / target], "-merge=1")
        shutil.rmtree(CORPUS / target)
        shutil.copytree(folder, CORPUS / target)
    print(f"{target}: {len(inputs(target))} inputs are left in the corpus")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzzing", description="Fuzz the sans-IO core.")
    parser.add_argument("targets", nargs="*", default=[path.name for path in sorted(CORPUS.iterdir())])
    parser.add_argument("--cpu-minutes", type=float, default=30, help="processor time for each target (default: 30)")
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path(".fuzzing"), help="folder of what is found")
    parser.add_argument("--planted", action="store_true", help="look for a planted bug instead, for at most that time")
    parser.add_argument("--minimize", action="store_true", help="add what was found to the corpus, made small")
    arguments = parser.parse_args()
    results = list[bool]()
    for target in arguments.targets:
        if arguments.planted:
            results.append(find_planted_bug(target, int(arguments.cpu_minutes * 60)))
        elif arguments.minimize:
            minimize(target, arguments.work)
        else:
            results.append(fuzz(target, arguments.work, arguments.cpu_minutes))
            subprocess.run([sys.executable, "-m", "tests.fuzzing.corpus", target, str(arguments.work)], check=True)
    sys.exit(not all(results))


if __name__ == "__main__":
    main()
