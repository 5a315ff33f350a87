"""The corpus: inputs that reached new code. ``python -m tests.fuzzing.corpus TARGET FOLDER`` prints their coverage."""

from __future__ import annotations

import importlib
import pathlib
import sys

__all__ = ["CORPUS", "inputs"]

CORPUS = pathlib.Path(__file__).with_name("corpus")


def inputs(target: str, *more: pathlib.Path) -> list[bytes]:
    """Return the target's inputs, with those in more folders."""
    folders = [CORPUS / target, *(folder / target for folder in more)]
    return [path.read_bytes() for folder in folders if folder.is_dir() for path in sorted(folder.iterdir())]


def main() -> None:
    from coverage import Coverage

    target, folder = sys.argv[1:]
    coverage = Coverage(data_file=None, config_file=False, branch=True, source_pkgs=["polysocket._core"])
    coverage.start()
    run = importlib.import_module("tests.fuzzing.targets").TARGETS[target]
    for data in (found := inputs(target, pathlib.Path(folder))):
        run(data)
    coverage.stop()
    print(f"{target}: coverage of {len(found)} inputs", flush=True)
    coverage.report(skip_empty=True)


if __name__ == "__main__":
    main()
