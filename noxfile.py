"""Run the project's checks, each in an environment of its own: ``nox --list`` names them, ``nox -s NAME`` runs one.

Tests run on the wheel that would be published (built from the sdist), not on the tree. ``.ci/run`` runs these sessions.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import tarfile
import tempfile

import nox

nox.needs_version = ">=2024.10.9"
nox.options.default_venv_backend = "virtualenv"
nox.options.error_on_missing_interpreters = False  # tests run on the versions that are found
nox.options.sessions = [
    "lint",
    "types",
    "docs",
    "tests",
    "tests_uncompiled",
    "tests_without_trio",
    "contract",
    "coverage",
]

PROJECT = nox.project.load_toml("pyproject.toml")
EXTRAS: dict[str, list[str]] = PROJECT["project"]["optional-dependencies"]
VERSIONS: list[str] = nox.project.python_versions(PROJECT)  # those of the classifiers
FLAVOURS = ["blocking", "asyncio", "trio"]
PARALLEL = ["-n", "auto"]
OF_CORE = [
    *[f"tests/{each}" for each in ("contract", "fuzzing", "property", "unit")],
    "tests/backends/test_interruptions.py",  # replaces methods of the core
]
OF_FLAVOURS = [f"tests/{each}" for each in ("contract", "runtime", "testing")]
# In repeated runs: uvloop runs asyncio's flavour, and the threaded flavour has the blocking one's sockets.
ONE_OF_EACH_KIND = ["-k", "not uvloop and not threaded"]
UNCOMPILED = {"POLYSOCKET_PURE": "1"}
TEMPORARY = {"TMPDIR": tempfile.gettempdir()}  # the paths in nox's own folder are too long for Unix sockets
INSTALLED = "tests/installed.py"  # checks which build is in use, and that it works
IN_SDIST = ["CHANGELOG.md", "benchmarks/calls.py", "docs/conf.py", "noxfile.py", "tests/conftest.py"]

wheels: dict[object, pathlib.Path] = {}
"""Those that were built in this run, by the Python version."""

# pyenv shows only the version in use, so each of its versions is added to the path.
PYENV = pathlib.Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser()
for folder in sorted(PYENV.glob("versions/3.*/bin")):
    os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ['PATH']}"
NEWEST = next((version for version in reversed(VERSIONS) if shutil.which(f"python{version}")), None)


def build(session: nox.Session) -> pathlib.Path:
    """Build the sdist, and the wheel from the sdist, once for each Python version; return the wheel's path."""
    if session.python not in wheels:
        session.install("build")
        dist = pathlib.Path(session.create_tmp(), "dist")
        session.run("python", "-m", "build", "--outdir", str(dist), silent=True)
        (wheels[session.python],) = dist.glob("*.whl")
    return wheels[session.python]


def install_wheel(session: nox.Session, *requirements: str) -> None:
    """Build the wheel and install it with these requirements."""
    session.install("--force-reinstall", "--no-deps", str(build(session)))
    session.install(*requirements)


@nox.session(python=VERSIONS)
def tests(session: nox.Session) -> None:
    """Run the tests on each Python version that is found, uncompiled, since compiled code has no coverage."""
    install_wheel(session, "polysocket[test]")
    environment = {**TEMPORARY, **UNCOMPILED}
    session.run("coverage", "run", "-m", "pytest", *(session.posargs or PARALLEL), env=environment)


@nox.session(python=NEWEST)
def tests_uncompiled(session: nox.Session) -> None:
    """Run the tests that touch the core with its plain files, on the newest Python version that is found."""
    install_wheel(session, "polysocket[test]")
    session.run("pytest", *OF_CORE, *ONE_OF_EACH_KIND, *(session.posargs or PARALLEL), env={**TEMPORARY, **UNCOMPILED})


@nox.session
def tests_without_trio(session: nox.Session) -> None:
    """Run the tests of the flavours without trio, anyio and sniffio, which the others must not need."""
    needs_them = ("polysocket[", "starlette", "tiny-proxy")
    others = [each for each in EXTRAS["test"] if not each.startswith(needs_them)]
    install_wheel(session, "polysocket[cli,contract,opentelemetry,prometheus]", *others)
    for module in ("anyio", "sniffio", "trio"):
        session.run("python", "-c", f"from importlib.util import find_spec; assert find_spec({module!r}) is None")
    session.run("pytest", *OF_FLAVOURS, *ONE_OF_EACH_KIND, *(session.posargs or PARALLEL), env=TEMPORARY)


@nox.session
def contract(session: nox.Session) -> None:
    """Run the shipped contract as the author of a flavour does: with its extra only, in another folder."""
    install_wheel(session, "polysocket[contract]")
    example = pathlib.Path("docs/examples/contract_in_threads.py").read_text(encoding="utf-8")
    session.chdir(session.create_tmp())
    pathlib.Path("pytest.ini").write_text("[pytest]\n", encoding="utf-8")  # keeps pytest from using the project's
    pathlib.Path("test_flavour.py").write_text(example, encoding="utf-8")
    session.run("pytest", "--quiet", "-W", "error", "--strict-markers", "test_flavour.py", env=TEMPORARY)


@nox.session
def coverage(session: nox.Session) -> None:
    """Report the coverage of all ``tests`` sessions together."""
    session.install("coverage>=7.10")
    session.run("coverage", "combine")
    session.run("coverage", "report", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, the direction of imports between layers, the contents of the sdist, and both builds of the wheel."""
    session.install(*EXTRAS["lint"])
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    wheel = build(session)
    session.install(str(wheel))
    session.run("lint-imports", "--no-cache")
    (sdist,) = wheel.parent.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    if missing := [name for name in IN_SDIST if name not in names]:
        session.error(f"the sdist lacks {', '.join(missing)}")
    session.run("python", INSTALLED, "compiled")
    session.run("python", INSTALLED, "plain", env=UNCOMPILED)
    # Without a C compiler, the same sdist is installed as plain Python.
    session.install("--force-reinstall", "--no-deps", "--no-cache-dir", str(sdist), env={"CC": "/nonexistent/cc"})
    session.run("python", INSTALLED, "plain")


@nox.session
def types(session: nox.Session) -> None:
    """Check all types with mypy, and those that users see, in the documentation too, with pyright as well."""
    install_wheel(session, "polysocket[test,bench,types]", "nox")
    session.run("mypy")
    session.run("pyright")
    session.run("pyright", "--ignoreexternal", "--verifytypes", "polysocket")
    session.run("pytest", "tests/typing")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation into docs/_build; a warning is an error."""
    session.install(".[docs,anyio,trio]", env=UNCOMPILED)
    session.run("sphinx-build", "-W", "--keep-going", "-q", "-b", "html", "docs", "docs/_build/html", *session.posargs)


@nox.session
@nox.parametrize("flavour", FLAVOURS)
def autobahn(session: nox.Session, flavour: str) -> None:
    """Run Autobahn's cases against the client: all of them, or some (``-- --quick``)."""
    install_wheel(session, "polysocket[trio]")
    session.run("python", "tests/autobahn/run.py", flavour, *session.posargs, success_codes=[0, 3])


@nox.session
def benchmarks(session: nox.Session) -> None:
    """Compare the speed with that of other libraries; arguments after ``--`` go to the benchmark."""
    install_wheel(session, "polysocket[bench]")
    session.run("python", "-m", "benchmarks", *session.posargs)


@nox.session
def properties(session: nox.Session) -> None:
    """Try 20 times as many sequences of frames, settings and chunkings as the tests do."""
    install_wheel(session, "polysocket[test]")
    arguments = session.posargs or ["tests/property", *PARALLEL]
    session.run("pytest", *arguments, "--timeout=0", env={**TEMPORARY, "EXAMPLES": "20"})


@nox.session
def faults(session: nox.Session) -> None:
    """Inject faults of the network at every byte of conversations, or some (``-- -k "trio-tls"``)."""
    install_wheel(session, "polysocket[test]")
    arguments = [*(session.posargs or PARALLEL), "-rP"]  # which shows the figures of each test
    session.run("pytest", "tests/faults", *arguments, env={**TEMPORARY, "FAULTS": "all"})


@nox.session
def fuzzing(session: nox.Session) -> None:
    """Fuzz the core for 30 minutes of processor time a target, or look for planted bugs (``-- --planted``)."""
    install_wheel(session, "polysocket[fuzz]")
    session.run("python", "-m", "tests.fuzzing", *session.posargs, env=UNCOMPILED)  # atheris sees no compiled code


@nox.session
def soak(session: nox.Session) -> None:
    """Hold many connections with traffic in each flavour; arguments after ``--`` go to the command."""
    install_wheel(session, "polysocket[bench]")
    session.run("python", "-m", "benchmarks.soak", *session.posargs)


@nox.session
def interruptions(session: nox.Session) -> None:
    """Interrupt conversations at every await and every traced event (``-- trio`` for one flavour)."""
    install_wheel(session, "polysocket[test]")
    session.run("python", "-m", "tests.interruptions", *session.posargs)
