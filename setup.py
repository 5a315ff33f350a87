"""Compile the core with mypyc, from the same files that run uncompiled.

The package is installed as plain Python if there is no C compiler, or if POLYSOCKET_PURE=1 is set. An editable
installation is plain, too, so that each change takes effect at once.
"""

from __future__ import annotations

import ast
import os
import pathlib
import re
import shutil
import sys
import tempfile

from setuptools import Distribution, Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CCompilerError, CompileError, ExecError, LinkError, PlatformError

REQUIREMENTS = [
    "h11>=0.16",
    "idna>=3.7",  # older ones take quadratic time on long names (CVE-2024-3651)
    "wsproto>=1.3.2,<2",  # polysocket._core corrects what this version does wrong, and tests name each case
]
REQUIREMENTS_OF_COMPILED = ["librt>=0.17"]  # masks 8 bytes at once

CORE = [
    "frames.py",
    "_core/batch.py",
    "_core/connection.py",
    "_core/decoder.py",
    "_core/encoder.py",
    "_core/failure.py",
    "_core/fast_path.py",
    "_core/frame_queue.py",
    "_core/partial_message.py",
    "_core/pieces.py",
    "_core/received.py",
    "_core/validation.py",
    "_core/zlib_streams.py",
    "_session/receiving.py",
    "_session/sending.py",
]
MASKING = ["_core/wide_masking.py"]  # by itself, so that the core can be imported without librt
FAILURES = (CCompilerError, CompileError, ExecError, LinkError, PlatformError, OSError)
HELD, TYPES = "payload|final|code|reason", "bool|bytes|int|str"  # what a frame holds
COPY = pathlib.Path("build", "mypyc")  # of the sources, as mypyc sees them


def can_compile() -> bool:
    """Return whether mypyc is there, and a compiler that finds the headers of Python."""
    if os.environ.get("POLYSOCKET_PURE") == "1" or {"develop", "editable_wheel"}.intersection(sys.argv):
        return False
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder, "trial.c")
        source.write_text("#include <Python.h>\nPyObject *PyInit_trial(void) { return NULL; }\n", encoding="utf-8")
        trial = build_ext(Distribution({"ext_modules": [Extension("trial", [str(source)])]}))
        trial.build_lib = trial.build_temp = folder
        try:
            import mypyc.build  # noqa: F401, PLC0415 - absent if the user builds without isolation

            trial.ensure_finalized()
            trial.run()
        except (ImportError, *FAILURES) as reason:
            sys.stderr.write(f"polysocket will be plain Python, since nothing can be compiled here: {reason}\n")
            return False
    return True


def extensions() -> list[Extension]:
    """Return the extension modules of the core, translated to C."""
    from mypyc.build import mypycify  # noqa: PLC0415

    shutil.rmtree(COPY, ignore_errors=True)
    shutil.copytree("src", COPY)
    # A compiled function checks the types of its arguments, and a frame may hold anything until it is sent: the error
    # says then what was wrong. So mypyc sees no types of what a frame holds.
    frames = COPY / "polysocket" / "frames.py"
    source = frames.read_text(encoding="utf-8")
    source = re.sub(rf"\b(_?(?:{HELD}): )(?:{TYPES})\b", r"\1Any", source)
    source = re.sub(rf"(def (?:{HELD})\(self\) -> )(?:{TYPES})\b", r"\1Any", source)
    # Compiled classes lose their docstrings, which help() shows.
    classes = [node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]
    source += "".join([f"setattr({node.name}, '__doc__', {ast.get_docstring(node)!r})\n" for node in classes])
    # Frames hold no containers. Without the garbage collector's header, a frame takes 25 ns less to make and free.
    # mypyc reads the decorator, and doesn't call it: mypy_extensions need not be installed.
    imports = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from mypy_extensions import mypyc_attr\n"
    source = source.replace("from typing import", f"{imports}from typing import", 1)
    source = re.sub(r"^class (?!CloseCode)", r"@mypyc_attr(acyclic=True)\n\g<0>", source, flags=re.MULTILINE)
    frames.write_text(source, encoding="utf-8")
    os.environ["MYPYPATH"] = str(COPY)
    options = ["--config-file=", "--follow-imports=silent", "--ignore-missing-imports"]
    modules: list[Extension] = []
    for name, paths in (("polysocket_core", CORE), ("polysocket_masking", MASKING)):
        sources = [str(COPY / "polysocket" / path) for path in paths]
        modules += mypycify([*options, *sources], group_name=name, target_dir=str(COPY / name))
    return modules


class CompiledDistribution(Distribution):
    """A distribution whose extension modules are known once they are built."""

    def has_ext_modules(self) -> bool:
        """Return True: the package is not plain Python."""
        return True


class BuildExtensions(build_ext):
    """The command that translates and compiles the core."""

    def finalize_options(self) -> None:
        """Prepare the command, which may also be asked for its files only."""
        super().finalize_options()
        self.extensions = []

    def run(self) -> None:
        """Compile, with a command of its own, since a command takes its extensions once."""
        built = pathlib.Path(self.build_lib)
        for stale in [*built.rglob("*.so"), *built.rglob("*.pyd")]:  # perhaps of a module that is compiled no more
            stale.unlink()
        try:
            self.distribution.ext_modules = extensions()
        except SystemExit:  # mypyc has printed why.
            sys.stderr.write("polysocket will be plain Python, since mypyc can't translate it\n")
            return
        command = build_ext(self.distribution)
        command.ensure_finalized()
        command.run()


if can_compile():
    setup(
        install_requires=REQUIREMENTS + REQUIREMENTS_OF_COMPILED,
        distclass=CompiledDistribution,
        cmdclass={"build_ext": BuildExtensions},
    )
else:
    setup(install_requires=REQUIREMENTS)
