"""The servers, each in its own process for the whole session, and the ways to reach them."""

from __future__ import annotations

import contextlib
import json
import pathlib
import socket
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import trustme

from polysocket import Deflate, Request, basic_request
from polysocket._opening.options import ConnectOptions
from tests.interop.flavours import FLAVOURS, Flavour
from tests.leaks import nothing_left_behind

ROOT = pathlib.Path(__file__).parents[2]
SERVERS = ["websockets_threads", "websockets_asyncio", "aiohttp", "hypercorn"]
TOO_LONG = 10  # seconds for a server to end

TRANSPORTS = ["ws", "wss", "unix"] if hasattr(socket, "AF_UNIX") else ["ws", "wss"]
COMPRESSIONS = {"plain": None, "deflate": Deflate()}


@pytest.fixture(autouse=True)
def leave_nothing(servers: dict[str, Server]) -> Iterator[None]:
    """Fail a test that leaves a socket or a thread."""
    with nothing_left_behind():
        yield


@pytest.fixture(params=FLAVOURS)
def flavour(request: pytest.FixtureRequest) -> Flavour:
    """Each flavour in turn."""
    name: str = request.param
    return FLAVOURS[name]


@dataclass(frozen=True)
class Server:
    """A running server, as :mod:`tests.interop.servers.paths` describes it."""

    name: str
    ports: dict[str, int]
    unix_path: str
    trusting: ssl.SSLContext

    def reached_by(self, transport: str, compression: Deflate | None) -> Place:
        options: ConnectOptions = {"compression": compression}
        if transport == "unix":
            options["unix_path"] = self.unix_path
            return Place(self, "ws://localhost", options)
        if transport == "wss":
            options["ssl"] = self.trusting
            return Place(self, f"wss://localhost:{self.ports['wss']}", options)
        return Place(self, f"ws://127.0.0.1:{self.ports[transport]}", options)


@dataclass(frozen=True)
class Place:
    """One way to reach a server."""

    server: Server
    base: str
    options: ConnectOptions

    def request(self, path: str, request: Request = basic_request) -> Request:
        """Return a request for one of the server's paths."""
        return request.get(self.base + path)


@pytest.fixture(scope="session")
def servers() -> Iterator[dict[str, Server]]:
    """All servers; at the end each must exit on its own, and must have logged nothing."""
    ca = trustme.CA()
    trusting = ssl.create_default_context()
    ca.configure_trust(trusting)
    with contextlib.ExitStack() as stack:
        # pytest's folders have long paths; that of a Unix socket has at most 107 bytes
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        certificate = folder / "localhost.pem"
        ca.issue_cert("localhost", "127.0.0.1").private_key_and_cert_chain_pem.write_to_path(certificate)
        processes = {name: stack.enter_context(running(name, folder, certificate)) for name in SERVERS}
        yield {name: Server(name, ports(process), str(folder / name), trusting) for name, process in processes.items()}


@contextlib.contextmanager
def running(name: str, folder: pathlib.Path, certificate: pathlib.Path) -> Iterator[subprocess.Popen[str]]:
    log_file = folder / f"{name}.log"
    with (
        log_file.open("w") as log,
        subprocess.Popen(
            [sys.executable, "-m", f"tests.interop.servers.{name}", certificate, folder / name],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as process,
    ):
        try:
            yield process
            process.communicate(timeout=TOO_LONG)
        finally:
            process.kill()
    text = log_file.read_text()
    assert text == "", text
    assert process.returncode == 0


def ports(process: subprocess.Popen[str]) -> dict[str, int]:
    assert process.stdout is not None
    found: dict[str, int] = json.loads(process.stdout.readline())
    return found


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest, servers: dict[str, Server]) -> Server:
    """Each server in turn."""
    name: str = request.param
    return servers[name]


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> str:
    """Each transport in turn."""
    name: str = request.param
    return name


@pytest.fixture(params=COMPRESSIONS)
def place(request: pytest.FixtureRequest, server: Server, transport: str) -> Place:
    """Each server in turn, via each transport, with and without compression."""
    return server.reached_by(transport, COMPRESSIONS[request.param])
