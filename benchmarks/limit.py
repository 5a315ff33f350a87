"""The physical limit: a raw blocking socket that sends frames made before, and counts the bytes that it receives."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from benchmarks import wire
from benchmarks.cells import MANY, Cell, Message
from benchmarks.clients import BlockingClient, Target

__all__ = ["raw_socket"]

READ_SIZE = 256 * 1024


@contextmanager
def raw_socket(target: Target) -> Iterator[RawSocket]:
    """Open a raw socket to the server."""
    url, cell = urlsplit(target.url), target.cell
    assert url.hostname is not None
    sock = socket.create_connection((url.hostname, url.port or 0))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if target.ssl is not None:
        sock = target.ssl.wrap_socket(sock, server_hostname=url.hostname)
    with sock:
        sock.sendall(wire.request(url.netloc, url.path, deflate=cell.deflated))
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += sock.recv(READ_SIZE)
        yield RawSocket(sock, cell)


class RawSocket(BlockingClient):
    """A socket after the opening handshake. It parses nothing, so it returns what should have been received."""

    def __init__(self, sock: socket.socket, cell: Cell) -> None:
        self._socket = sock
        self._cell = cell
        self._frame = wire.client_frame(cell, cell.message, deflate=cell.deflated)
        self._answer_size = len(wire.server_frames(cell, cell.answer, 15 if cell.deflated else None))
        self._buffer = bytearray(READ_SIZE)

    def work(self, cell: Cell, n: int) -> Message:
        if cell.work == "round_trip":
            for _ in range(n):
                self._socket.sendall(self._frame)
                self._read(self._answer_size)
            return cell.typed(cell.answer)
        self._socket.sendall(wire.client_frame(cell, cell.request(n)))
        match cell.work:
            case "receive" | "receive_many":
                self._read(n * self._answer_size)
            case "send":
                for _ in range(n):
                    self._socket.sendall(self._frame)
                self._read(self._answer_size)
            case "send_many":
                for left in range(n, 0, -MANY):
                    self._socket.sendall(self._frame * min(left, MANY))
                self._read(self._answer_size)
        return cell.typed(cell.answer)

    def _read(self, size: int) -> None:
        receive, buffer = self._socket.recv_into, memoryview(self._buffer)
        while size:
            count = receive(buffer, min(size, READ_SIZE))
            if not count:
                raise EOFError
            size -= count
