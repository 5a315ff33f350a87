"""Every check of the project, each in an environment of its own: ``nox --list`` names them, ``nox -s NAME`` runs one.

Tests run on the wheel as it would be published (built from the sdist), not on the tree. ``.ci/run`` calls these
sessions too, so that what passes here passes there.
"""

from __future__ import annotations

import os
import pathlib
import tempfile

import nox

nox.needs_version = ">=2024.10.9"
nox.options.default_venv_backend = "virtualenv"
nox.options.error_on_missing_interpreters = False  # tests run on those versions that are found, in CI too
nox.options.sessions = ["lint", "types", "docs", "tests", "tests_without_trio", "contract", "coverage"]

PROJECT = nox.project.load_toml("pyproject.toml")
EXTRAS: dict[str, list[str]] = PROJECT["project"]["optional-dependencies"]
FLAVOURS = ["blocking", "asyncio", "trio"]
PARALLEL = ["-n", "auto"]
# Not nox's own, whose paths are too long for Unix sockets.
TEMPORARY = {"TMPDIR": tempfile.gettempdir()}

# pyenv hides the versions that it has behind the one in use, unless they are named.
PYENV = pathlib.Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser()
if versions := sorted(path.name for path in PYENV.glob("versions/3.*")):
    os.environ.setdefault("PYENV_VERSION", ":".join(versions))


def install_wheel(session: nox.Session, *requirements: str) -> None:
    """Build sdist and wheel, and install the wheel with what else is wanted."""
    session.install("build")
    dist = pathlib.Path(session.create_tmp(), "dist")
    session.run("python", "-m", "build", "--outdir", str(dist), silent=True)
    (wheel,) = dist.glob("*.whl")
    session.install("--force-reinstall", "--no-deps", str(wheel))
    session.install(*requirements)


@nox.session(python=nox.project.python_versions(PROJECT))
def tests(session: nox.Session) -> None:
    """Run the tests on each Python version that is found."""
    install_wheel(session, "polysocket[test]")
    session.run("coverage", "run", "-m", "pytest", *(session.posargs or PARALLEL), env=TEMPORARY)


@nox.session
def tests_without_trio(session: nox.Session) -> None:
    """Run the tests where trio is not installed: the other flavours must not need it."""
    others = [each for each in EXTRAS["test"] if not each.startswith("polysocket[")]
    install_wheel(session, "polysocket[contract,opentelemetry,prometheus]", *others)
    session.run("python", "-c", "from importlib.util import find_spec; assert find_spec('trio') is None")
    session.run("pytest", *(session.posargs or PARALLEL), env=TEMPORARY)


@nox.session
def contract(session: nox.Session) -> None:
    """Run the shipped contract as the author of a flavour does: with its extra, and nothing else, elsewhere."""
    install_wheel(session, "polysocket[contract]")
    example = pathlib.Path("docs/examples/contract_in_threads.py").read_text(encoding="utf-8")
    session.chdir(session.create_tmp())
    pathlib.Path("pytest.ini").write_text("[pytest]\n", encoding="utf-8")  # or that of the project would be found
    pathlib.Path("test_flavour.py").write_text(example, encoding="utf-8")
    session.run("pytest", "--quiet", "-W", "error", "--strict-markers", "test_flavour.py", env=TEMPORARY)


@nox.session
def coverage(session: nox.Session) -> None:
    """Report the coverage of all test sessions together."""
    session.install("coverage>=7.10")
    session.run("coverage", "combine")
    session.run("coverage", "report", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and formatting with ruff."""
    session.install(*EXTRAS["lint"])
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")


@nox.session
def types(session: nox.Session) -> None:
    """Check the types of everything with mypy, and what users see, the documentation too, with both."""
    install_wheel(session, "polysocket[test,bench,types]", "nox")
    session.run("mypy")
    session.run("pyright")
    session.run("pyright", "--ignoreexternal", "--verifytypes", "polysocket")
    session.run("pytest", "tests/typing")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation into docs/_build; a warning is an error."""
    session.install(".[docs,trio]")
    session.run("sphinx-build", "-W", "--keep-going", "-q", "-b", "html", "docs", "docs/_build/html", *session.posargs)


@nox.session
@nox.parametrize("flavour", FLAVOURS)
def autobahn(session: nox.Session, flavour: str) -> None:
    """Run Autobahn's cases against the client: all of them, or as told by posargs such as ``-- --quick``."""
    install_wheel(session, "polysocket[trio]")
    session.run("python", "tests/autobahn/run.py", flavour, *session.posargs, success_codes=[0, 3])


@nox.session
def benchmarks(session: nox.Session) -> None:
    """Measure beside the peers; posargs go to the benchmark."""
    install_wheel(session, "polysocket[bench]")
    session.run("python", "-m", "benchmarks", *session.posargs)
