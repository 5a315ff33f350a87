"""Real proxies of other projects, each in its own process: proxy.py for HTTP, tiny-proxy for SOCKS.

A tap before a proxy forwards the bytes unchanged, and records those of the client.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pathlib
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from polysocket.testing.contract import places

TOO_LONG = 10  # seconds to wait before a test fails
USER, PASSWORD = "me", "s@cret:/"
CREDENTIALS = "me:s%40cret%3A%2F"  # in a URL
SECRETS = [PASSWORD.encode(), b"s%40cret"]


@dataclass(frozen=True)
class RealProxy:
    """A running proxy."""

    scheme: str
    port: int

    def url(self, port: int | None = None, credentials: str = CREDENTIALS) -> str:
        """Return the URL of the proxy, or of a tap on another port."""
        user = f"{credentials}@" if credentials else ""
        return f"{self.scheme}://{user}localhost:{port or self.port}"


@contextlib.contextmanager
def running(*command: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a Python program during the ``with`` block."""
    with subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.terminate()


@contextlib.contextmanager
def http_proxy(folder: pathlib.Path, *, tls: bool = False, auth: bool = True) -> Iterator[RealProxy]:
    """Run an http or https proxy."""
    port_file = folder / "port"
    options = ["--hostname", "127.0.0.1", "--port", "0", "--port-file", os.fspath(port_file)]
    options += [
        "--num-acceptors",
        "1",
        "--num-workers",
        "1",
        "--log-level",
        "CRITICAL",
        "--data-dir",
        os.fspath(folder),
    ]
    if auth:
        options += ["--basic-auth", f"{USER}:{PASSWORD}"]
    if tls:
        certificate = places._authority().issue_cert("localhost")
        certificate.private_key_pem.write_to_path(folder / "key.pem")
        for pem in certificate.cert_chain_pems:
            pem.write_to_path(folder / "certificate.pem", append=True)
        options += ["--key-file", os.fspath(folder / "key.pem"), "--cert-file", os.fspath(folder / "certificate.pem")]
    with running("-m", "proxy", *options) as process:
        deadline = time.monotonic() + TOO_LONG
        while not (port_file.exists() and port_file.read_text().strip()):  # the only sign that the proxy listens
            assert process.poll() is None, "the proxy has ended"
            assert time.monotonic() < deadline, "the proxy does not start"
            time.sleep(0.02)
        yield RealProxy("https" if tls else "http", int(port_file.read_text()))


HAS_SOCKS = importlib.util.find_spec("tiny_proxy") is not None
SOCKS = """
import sys, anyio, tiny_proxy

async def main(user, password):
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    print(listener.extra(anyio.abc.SocketAttribute.local_port), flush=True)
    await listener.serve(tiny_proxy.Socks5ProxyHandler(username=user or None, password=password or None).handle)

anyio.run(main, *sys.argv[1:])
"""


@contextlib.contextmanager
def socks_proxy(*, auth: bool = True) -> Iterator[RealProxy]:
    """Run a SOCKS5 proxy."""
    with running("-c", SOCKS, *((USER, PASSWORD) if auth else ("", ""))) as process:
        assert process.stdout is not None
        yield RealProxy("socks5", int(process.stdout.readline()))


class Tap:
    """Forwards connections to a port of localhost during a ``with`` block."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self.port: int = self._listener.getsockname()[1]
        self.received: list[bytearray] = []

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(TOO_LONG)
        self._listener.close()

    def _start(self, target: object, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, name="a tap")  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                received = bytearray()
                self.received.append(received)
                self._start(self._serve, client, received)

    def _serve(self, client: socket.socket, received: bytearray) -> None:
        with client, socket.create_connection(("127.0.0.1", self._target)) as server:
            back = threading.Thread(target=pump, args=(server, client, bytearray()), name="a tap")
            back.start()
            pump(client, server, received)
            back.join(TOO_LONG)


def pump(source: socket.socket, target: socket.socket, received: bytearray) -> None:
    """Forward all bytes until EOF."""
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            received += data
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)
