"""The plugin of pytest: its fixtures work in a user's tests, and a run that uses none imports nothing."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import textwrap
import tomllib

import pytest

import polysocket
from tests.backends.flavours import has_trio

SOURCE = pathlib.Path(polysocket.__file__).parent.parent
PYPROJECT = pathlib.Path(__file__).parents[2] / "pyproject.toml"


@pytest.fixture
def project(tmp_path: pathlib.Path) -> pathlib.Path:
    """A folder for a user's tests, beside an installation with the entry points of pyproject.toml."""
    plugins: dict[str, str] = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]["entry-points"][
        "pytest11"
    ]
    info = tmp_path / "site" / "polysocket_of_this_test-0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: polysocket-of-this-test\nVersion: 0\n")
    lines = [f"{name} = {module}" for name, module in plugins.items()]
    (info / "entry_points.txt").write_text("\n".join(["[pytest11]", *lines, ""]))
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


def run_pytest(
    project: pathlib.Path, tests: str, *options: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a user's tests in a process of their own, in which each warning is an error."""
    (project / "test_user.py").write_text(textwrap.dedent(tests), encoding="utf-8")
    path = os.pathsep.join([str(project.parent / "site"), str(SOURCE), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", *options],
        cwd=project,
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )


def passed(ran: subprocess.CompletedProcess[str], count: int) -> None:
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"{count} passed" in ran.stdout


def test_the_echo_server_serves_clients_of_every_flavour(project: pathlib.Path) -> None:
    tests = """
    import asyncio

    import polysocket.asyncio
    import polysocket.blocking

    def test_blocking(polysocket_echo_server):
        with polysocket.blocking.connect(polysocket_echo_server.url) as ws:
            ws.send_text("hello")
            assert ws.receive_text() == "hello"

    def test_asyncio(polysocket_echo_server):
        async def main():
            async with polysocket.asyncio.connect(polysocket_echo_server.url) as ws:
                await ws.send_text("hello")
                assert await ws.receive_text() == "hello"

        asyncio.run(main())
    """
    passed(run_pytest(project, tests), 2)


def test_stubs_are_made_for_each_flavour_and_are_aborted_after_the_test(project: pathlib.Path) -> None:
    tests = """
    import asyncio
    import pytest
    from polysocket import Asyncio, Blocking, Buffer, Text, Threaded, Trio, WebSocketHandler
    from polysocket.testing import UnmatchedRequest, WebSocketStub

    greeting = WebSocketStub.with_initial_incoming([Text("hello")])
    opened = []

    def test_blocking(polysocket_stub):
        backend = polysocket_stub(Blocking).when_any_request().then_respond_web_socket(greeting)
        ws = backend.open_websocket("wss://example.com/", WebSocketHandler(Buffer.unbounded())).result
        assert ws.receive_text() == "hello"
        opened.append(ws)

    def test_the_websocket_of_the_test_before_is_closed():
        assert not opened[0].is_open

    def test_threaded(polysocket_stub):
        backend = polysocket_stub(Threaded).when_any_request().then_respond_web_socket(greeting)
        response = backend.open_websocket("wss://example.com/", WebSocketHandler()).result()
        assert response.result.receive_text().result() == "hello"

    def test_asyncio(polysocket_stub):
        async def main():
            backend = polysocket_stub(Asyncio).when_any_request().then_respond_web_socket(greeting)
            response = await backend.open_websocket("wss://example.com/", WebSocketHandler(Buffer.unbounded()))
            assert await response.result.receive_text() == "hello"

        asyncio.run(main())

    def test_each_test_has_its_own(polysocket_stub):
        with pytest.raises(UnmatchedRequest):
            polysocket_stub(Blocking).open_websocket("wss://example.com/", WebSocketHandler())
    """
    if has_trio:
        tests += """
    def test_trio(polysocket_stub):
        import trio

        async def main():
            backend = polysocket_stub(Trio).when_any_request().then_respond_web_socket(greeting)
            response = await backend.open_websocket("wss://example.com/", WebSocketHandler(Buffer.unbounded()))
            assert await response.result.receive_text() == "hello"

        trio.run(main)
    """
    passed(run_pytest(project, tests), 6 if has_trio else 5)


def test_the_fixtures_are_listed(project: pathlib.Path) -> None:
    ran = run_pytest(project, "", "--fixtures")
    assert "polysocket_echo_server" in ran.stdout, ran.stdout + ran.stderr
    assert "polysocket_stub" in ran.stdout


def test_a_run_that_uses_no_fixture_imports_nothing(project: pathlib.Path) -> None:
    tests = """
    import sys

    def test_nothing_is_imported():
        assert "pytest_polysocket" in sys.modules
        for module in ("polysocket", "hypothesis", "trio", "anyio", "asyncio"):
            assert module not in sys.modules, module
    """
    # Load only this plugin: others that are installed may import anything.
    passed(run_pytest(project, tests, "-p", "polysocket", PYTEST_DISABLE_PLUGIN_AUTOLOAD="1"), 1)


def test_the_assertions_of_the_contract_are_rewritten(project: pathlib.Path) -> None:
    tests = """
    import polysocket.testing.contract

    def test_its_assertions_are_rewritten():
        loader = polysocket.testing.contract.__loader__
        assert type(loader).__name__ == "AssertionRewritingHook"
    """
    # Use the name of the module: with "-p polysocket", pytest itself would rewrite the package of that name.
    passed(run_pytest(project, tests, "-p", "pytest_polysocket", PYTEST_DISABLE_PLUGIN_AUTOLOAD="1"), 1)
