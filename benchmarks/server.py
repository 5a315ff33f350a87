"""The server of all cells, in a process of its own: ``python -m benchmarks.server``.

It must not be the bottleneck, so it is a raw socket in a thread for each connection: it sends frames that were made
before, and parses no more than the sizes of frames. The path of the URL is a cell. The server answers each
message of a round trip, floods the client with as many messages as it asks for, or swallows as many as the client
announces and answers the last one.

It prints two ports, the second one for TLS, and ends at the end of its standard input. ``--cpu`` is its processor.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import pathlib
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from benchmarks import wire
from benchmarks.cells import Cell

__all__ = ["HOST", "ROOT", "Server", "running"]

ROOT = pathlib.Path(__file__).parent.parent  # from which "python -m benchmarks…" works
HOST = "127.0.0.1"
READ_SIZE = 256 * 1024  # bytes at once; more is not faster
FLOOD = 256 * 1024  # bytes at once, at least one message
PATIENCE = 1.0  # seconds for the client's answer to the close_notify


class Server(NamedTuple):
    """A running server. Its TLS certificate is signed by the authority in a file."""

    port: int
    tls_port: int
    authority: str

    def url(self, cell: Cell) -> str:
        """Return the URL to connect to."""
        scheme, port = ("wss", self.tls_port) if cell.is_tls else ("ws", self.port)
        return f"{scheme}://{HOST}:{port}{cell.path}"


@contextlib.contextmanager
def running(cpu: int | None = None) -> Iterator[Server]:
    """Run a server."""
    with tempfile.TemporaryDirectory() as directory:
        authority = str(pathlib.Path(directory, "authority.pem"))
        command = [sys.executable, "-m", "benchmarks.server", authority]
        if cpu is not None:
            command += ["--cpu", str(cpu)]
        with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            ports = process.stdout.readline().split()
            if not ports:
                raise RuntimeError("the server did not start")
            yield Server(int(ports[0]), int(ports[1]), authority)


class Connection:
    """The server's half of one connection."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._file = io.BufferedReader(sock.makefile("rb", 0), READ_SIZE)
        self._inflater = zlib.decompressobj(-15)

    def serve(self) -> None:
        """Answer the opening handshake, and do what the cell says until the client closes."""
        head = b"".join(iter(self._file.readline, b"\r\n"))
        cell = Cell.of_path(head.split()[1].decode())
        accepted, window_bits = wire.accept(head)
        self._socket.sendall(accepted)
        message = wire.server_frames(cell, cell.message, window_bits)
        flood = memoryview(message * max(1, FLOOD // len(message)))
        answer = wire.server_frames(cell, cell.answer, window_bits)
        sent_size = len(wire.frame(0, cell.message, wire.MASK))
        while request := self._read(is_parsed=cell.work != "round_trip"):
            match cell.work:
                case "round_trip":
                    self._socket.sendall(answer)
                case "receive" | "receive_many":
                    left = int(request) * len(message)
                    while left > 0:
                        self._socket.sendall(flood[:left])
                        left -= len(flood)
                case "send" | "send_many":
                    self._swallow(int(request) * sent_size)
                    self._socket.sendall(answer)
                case "open":
                    raise ValueError("a message on a connection that is only opened")

    def _read(self, *, is_parsed: bool) -> bytes:
        """Read a message; return its payload as it is unless it is parsed, or nothing after a Close or the EOF."""
        header = self._file.read(2)
        if not header:
            return b""
        size = header[1] & 0x7F
        if size >= 126:
            size = int.from_bytes(self._file.read(2 if size == 126 else 8), "big")
        masked = self._file.read(4 + size)
        if header[0] & 0x0F == wire.CLOSE:
            self._socket.sendall(wire.frame(wire.FIN | wire.CLOSE))
            return b""
        if not is_parsed:
            return masked
        payload = bytes(byte ^ masked[index % 4] for index, byte in enumerate(masked[4:]))
        return self._inflater.decompress(payload + wire.FLUSHED) if header[0] & wire.RSV1 else payload

    def _swallow(self, size: int) -> None:
        buffer = memoryview(bytearray(READ_SIZE))
        while size:
            if not (count := self._file.readinto1(buffer[:size])):
                raise EOFError
            size -= count


def _serve(sock: socket.socket, context: ssl.SSLContext | None) -> None:
    with contextlib.suppress(OSError, EOFError), sock:  # The client reports a connection that fails.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context is None:
            Connection(sock).serve()
        else:
            with context.wrap_socket(sock, server_side=True) as tls:
                Connection(tls).serve()
                tls.settimeout(PATIENCE)
                tls.unwrap()  # picows on uvloop waits 30 s for a close_notify, though the TCP connection ends


def _listen(context: ssl.SSLContext | None) -> int:
    """Accept connections in the background; return the port."""
    listener = socket.create_server((HOST, 0), backlog=1024)

    def accept() -> None:
        while True:
            sock, _ = listener.accept()
            threading.Thread(target=_serve, args=(sock, context), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    port: int = listener.getsockname()[1]
    return port


def main() -> None:
    """Serve until the standard input ends."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.server")
    parser.add_argument("authority", help="the file to write the certificate of the authority to")
    parser.add_argument("--cpu", type=int)
    chosen = parser.parse_args()
    if chosen.cpu is not None:
        os.sched_setaffinity(0, {chosen.cpu})
    import trustme

    authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
    authority.cert_pem.write_to_path(chosen.authority)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    # websockets's thread would read a session ticket while its opening handshake is written; OpenSSL then loses bytes.
    context.num_tickets = 0
    authority.issue_cert(HOST, key_type=trustme.KeyType.ECDSA).configure_cert(context)
    print(_listen(None), _listen(context), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
