"""The imports of ``import polysocket.blocking``: only modules that are needed before a websocket is opened.

``python -m benchmarks.imports`` measures the time. Names of modules, unlike times, are the same on every machine.
"""

from __future__ import annotations

import pathlib
import subprocess
import sys

import pytest

from polysocket.testing import EchoServer
from polysocket.testing.contract.places import Peer, Place, answering, server_context

# Each takes milliseconds to import, and belongs to another flavour, to only some connections, or to the opening itself.
LATER = [
    "anyio",
    "asyncio",
    "concurrent.futures",
    "email",
    "h11",
    "http",
    "idna",
    "importlib.metadata",
    "logging",
    "sniffio",
    "ssl",
    "trio",
    "urllib.request",
    "wsproto",
]
OF_THREADS = ["concurrent.futures", "logging"]  # futures import logging
OF_ASYNCIO = ["asyncio", "concurrent.futures", "logging", "ssl"]  # asyncio imports the others
OF_OPENING = ["email", "h11", "http", "idna", "wsproto"]  # at once: an import in a task would block the event loop


@pytest.mark.parametrize(
    ("module", "allowed"),
    [
        ("polysocket", []),
        ("polysocket.blocking", []),
        ("polysocket.threaded", OF_THREADS),
        ("polysocket.asyncio", [*OF_ASYNCIO, *OF_OPENING]),
    ],
)
def test_a_flavour_imports_at_once_only_what_it_always_needs(module: str, allowed: list[str]) -> None:
    code = f"import sys; before = set(sys.modules); import {module}; print(*set(sys.modules) - before)"
    imported = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not set(imported) & set(LATER) - set(allowed)


CONNECTING = """
import sys, threading
import polysocket.{flavour}
from polysocket import Backoff, OpeningFailed
{run_imports}

imported = []


class Finder:
    def find_spec(self, name, path=None, target=None):
        if threading.current_thread() is threading.main_thread():
            imported.append(name)


async def main():
    for url, options in {connections}:
        try:
            async with polysocket.{flavour}.connect(url, **options) as ws:
                await ws.send_text("a")
                await ws.receive_text()
        except OpeningFailed as error:
            print(error, file=sys.stderr)
    try:
        async with polysocket.{flavour}.reconnect({unavailable!r}, policy=Backoff(initial=0)) as websockets:
            async for _ in websockets:
                pass
    except OpeningFailed as error:
        print(error, file=sys.stderr)


sys.meta_path.insert(0, Finder())
{run}
print(*imported)
"""
RUN = {
    "asyncio": ("import asyncio", "asyncio.run(main())"),
    "uvloop": ("import uvloop", "uvloop.run(main())"),
    "trio": ("import trio", "trio.run(main)"),
}


@pytest.mark.parametrize("library", RUN)
def test_connecting_imports_nothing_on_an_event_loop(library: str, tmp_path: pathlib.Path) -> None:
    """The second server's certificate is not trusted, so that the default context is loaded.

    The last server names the date of the next attempt, which it rejects for good.
    """
    pytest.importorskip(library)
    flavour = "asyncio" if library == "uvloop" else library
    run_imports, run = RUN[library]
    answers = answering("503 Unavailable", "Retry-After: Thu, 01 Jan 2026 00:00:00 GMT"), answering("404 Not Found")
    with (
        EchoServer() as plain,
        EchoServer(ssl=server_context()) as secure,
        Peer(Place("tcp", tmp_path), *answers) as last,
    ):
        port = plain.url.rpartition(":")[2].strip("/")
        connections = [
            (plain.url, {}),
            (secure.url, {}),
            (f"ws://127.0.0.1:{port}/", {}),
            ("ws://bücher.invalid/", {}),
            ("ws://server.invalid/", {"proxy": f"http://localhost:{port}"}),
            ("ws://server.invalid/", {"proxy": f"socks5://localhost:{port}"}),
        ]
        code = CONNECTING.format(
            flavour=flavour, run_imports=run_imports, connections=connections, unavailable=last.url, run=run
        )
        ran = subprocess.run([sys.executable, "-X", "utf8", "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "404 Not Found" in ran.stderr
    assert not ran.stdout.split(), ran.stderr
