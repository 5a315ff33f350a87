"""Search with atheris (libFuzzer) for an input that breaks a target: ``search.py TARGET [--planted] LIBFUZZER…``.

``python -m tests.fuzzing`` runs this in a process of its own, since libFuzzer ends the process.
"""

from __future__ import annotations

import importlib
import sys

import atheris


def main() -> None:
    name, *arguments = sys.argv[1:]
    with atheris.instrument_imports(include=["polysocket", "wsproto", "h11"]):
        targets = importlib.import_module("tests.fuzzing.targets")
    if "--planted" in arguments:
        arguments.remove("--planted")
        importlib.import_module("tests.fuzzing.planted").BUGS[name](setattr)
    atheris.Setup([sys.argv[0], *arguments], targets.TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
