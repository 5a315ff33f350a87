"""The peer of the machines: a server in a process of its own that checks each message and reports on each connection.

It is made with ``websockets``, so that code which shares nothing with polysocket judges what polysocket has sent.
"""

from __future__ import annotations

import contextlib
import json
import pathlib
import queue
import re
import socket
import ssl
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import websockets.sync.server
from websockets.exceptions import ConnectionClosed

__all__ = ["CUT", "Peer", "Report", "checked", "parts", "running_peer", "sealed"]

PATIENCE = 10  # seconds to wait for a report
PAUSE = 0.002  # seconds in which a fast client waits for an answer
RECEIVE_BUFFER = 32 * 1024  # bytes: small, so that a large frame makes its sender wait
CUT = "(cut)"
"""The last fragment of a message that an interruption has cut short."""


def sealed(number: int, body: str) -> str:
    """Return the text of a message that shows whether it is whole and in its turn."""
    return f"{number}|{zlib.crc32(body.encode())}|{body}"


def checked(message: str | bytes) -> tuple[int, str]:
    """Return the number and the body of a sealed message. Raises ValueError if it is torn."""
    text = message if isinstance(message, str) else message.decode()
    number, checksum, body = text.split("|", 2)
    if zlib.crc32(body.encode()) != int(checksum):
        raise ValueError(f"message {number} is torn: {text[:200]!r}")
    return int(number), body


def parts(number: int) -> list[str]:
    """Return the fragments of a message."""
    body = f"fragments {number} " * 30
    whole = sealed(number, body)
    return [whole[:9], whole[9:200], whole[200:]]


class Report(NamedTuple):
    """The peer's view of one connection that has ended."""

    path: str
    numbers: list[int]
    """The numbers of the messages that have arrived, in this order."""
    faults: list[str]
    code: int | None
    """The code of the Close that the peer has received."""


class Peer:
    """The peer's process, as the machines see it."""

    def __init__(self, process: subprocess.Popen[str], certificate: pathlib.Path) -> None:
        self._process = process
        self._reports: queue.SimpleQueue[Report] = queue.SimpleQueue()
        self._early: dict[str, Report] = {}
        assert process.stdout is not None
        self._ports: dict[str, int] = json.loads(process.stdout.readline())
        self.client_context: ssl.SSLContext = ssl.create_default_context(cafile=str(certificate))
        threading.Thread(target=self._read, daemon=True).start()

    def url(self, transport: str, path: str) -> str:
        """Return the URL of a connection, whose report has this path."""
        origin = "wss://localhost" if transport == "tls" else "ws://127.0.0.1"
        return f"{origin}:{self._ports[transport]}{path}"

    def report(self, path: str) -> Report:
        """Wait until a connection has ended. Raises queue.Empty if it does not."""
        while path not in self._early:
            report = self._reports.get(timeout=PATIENCE)
            self._early[report.path] = report
        return self._early.pop(path)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._reports.put(Report(*json.loads(line)))


@contextlib.contextmanager
def running_peer(folder: pathlib.Path) -> Iterator[Peer]:
    """Run the peer's process until the end of the block; its certificate is written into the folder."""
    import trustme

    authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    certificate = authority.issue_cert("localhost", key_type=trustme.KeyType.ECDSA)
    certificate.private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
    command = [sys.executable, __file__, str(folder / "server.pem")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Peer(process, folder / "ca.pem")
        finally:
            process.kill()


# In the peer's process


def _handle(ws: websockets.sync.server.ServerConnection) -> None:
    numbers, faults, replies = list[int](), list[str](), 0

    def reply(kind: str) -> None:
        nonlocal replies
        if kind == "pause":
            time.sleep(PAUSE)
            return
        replies += 1
        body = kind * (50_000 if kind == "large" else 3)
        text = sealed(replies, body)
        if kind == "ping":
            ws.ping()
        if kind == "fragments":
            ws.send([text[:5], text[5:9], text[9:]])
        elif kind == "binary":
            ws.send(text.encode())
        else:
            ws.send(text)

    with contextlib.suppress(ConnectionClosed):
        for message in ws:
            try:
                number, body = _judged(message)
            except ValueError as error:
                faults.append(str(error))
                continue
            if numbers and number <= numbers[-1]:
                faults.append(f"message {number} came after {numbers[-1]}")
            numbers.append(number)
            for kind in re.findall(r"give ([\w.]+)", body):
                with contextlib.suppress(ConnectionClosed):  # Further messages may have come before the Close.
                    reply(kind)
    protocol = ws.protocol
    code = None if protocol.close_rcvd is None else protocol.close_rcvd.code
    if protocol.close_sent is not None and protocol.close_sent.code in (1002, 1007, 1009):
        faults.append(f"the peer failed the connection: {protocol.close_sent}")
    _print(Report(ws.request.path if ws.request else "", numbers, faults, code))


def _judged(message: str | bytes) -> tuple[int, str]:
    if isinstance(message, str) and message.endswith(CUT):
        sent = message.removesuffix(CUT)
        number = int(sent.partition("|")[0])
        if sent not in ["".join(parts(number)[:count]) for count in range(1, 4)]:
            raise ValueError(f"message {number} in fragments is torn: {sent!r}")
        return number, ""
    return checked(message)


_printing = threading.Lock()


def _print(value: Any) -> None:
    with _printing:
        print(json.dumps(value), flush=True)


def _serve(certificate: str) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    ports: dict[str, int] = {}
    for transport, ssl_context in (("tcp", None), ("tls", context)):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        listener.bind(("127.0.0.1", 0))
        listener.listen(50)
        ports[transport] = listener.getsockname()[1]
        server = websockets.sync.server.serve(
            _handle, sock=listener, ssl=ssl_context, max_size=None, ping_interval=None, close_timeout=2
        )
        threading.Thread(target=server.serve_forever, daemon=True).start()
    _print(ports)
    sys.stdin.read()  # until the machine ends


if __name__ == "__main__":
    import logging

    logging.getLogger("websockets.server").addHandler(logging.NullHandler())
    logging.getLogger("websockets.server").propagate = False
    _serve(sys.argv[1])
