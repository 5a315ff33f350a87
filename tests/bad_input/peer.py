"""A server on loopback that answers as it is told to, whatever that is, and sees to it that the client has closed.

Nothing of polysocket is used here: what is on the wire is written down byte by byte.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self

Stream = socket.socket
Script = Callable[["Conversation"], None]

TOO_LONG = 10  # seconds after which a client that should have acted has failed
SWITCHING = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n"
)


class Conversation:
    """The server's view of one connection."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self.request = b""
        self.received = b""

    def read_request(self) -> None:
        """Read the opening handshake, to its end."""
        while b"\r\n\r\n" not in self.request:
            data = self._socket.recv(65536)
            if not data:
                raise AssertionError(f"the client left in its request: {self.request!r}")
            self.request += data

    @property
    def accept(self) -> bytes:
        """The Sec-WebSocket-Accept that is due (RFC 6455 §4.2.2)."""
        key = re.search(rb"(?i)\r\nsec-websocket-key: *([^\r]*)", self.request)
        assert key is not None
        return base64.b64encode(hashlib.sha1(key[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())

    def send(self, data: bytes) -> None:
        """Send all of it."""
        self._socket.sendall(data)

    def send_until_refused(self, data: bytes, at_most: int) -> None:
        """Send the same again and again, until the client has closed; it must before so many bytes."""
        with contextlib.suppress(ConnectionError):
            for _ in range(at_most // len(data)):
                self._socket.sendall(data)
            raise AssertionError(f"the client took {at_most} bytes and went on")

    def wait_for_the_end(self) -> None:
        """Read until the client closes; what it sent is in ``received``."""
        with contextlib.suppress(ConnectionError):  # it had not read all that was sent
            while data := self._socket.recv(65536):
                self.received += data

    @property
    def close_received(self) -> tuple[int, str]:
        """Code and reason of the Close that the client sent as its last frame."""
        opcode, payload = list(_frames(self.received))[-1]
        assert opcode == 8
        return int.from_bytes(payload[:2], "big"), payload[2:].decode()


class Peer:
    """Serves one connection by a script from the beginning of a ``with`` to its end.

    At the end the client must have closed the connection, or the test fails: that is what the peer itself sees.
    """

    def __init__(self, script: Script, tls: ssl.SSLContext | None = None, connections: int = 1) -> None:
        self._script = script
        self._tls = tls
        self._connections = connections
        self._failure: BaseException | None = None

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(TOO_LONG)
        self.port: int = self._listener.getsockname()[1]
        scheme = "ws" if self._tls is None else "wss"
        self.url = f"{scheme}://127.0.0.1:{self.port}/"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._thread.join()
        self._listener.close()
        if self._failure is not None:
            raise self._failure

    def _serve(self) -> None:
        try:
            for _ in range(self._connections):
                sock, _ = self._listener.accept()
                with sock:
                    sock.settimeout(TOO_LONG)
                    self._converse(sock)
        except BaseException as error:  # noqa: BLE001 - told to the test by __exit__
            self._failure = error

    def _converse(self, sock: socket.socket) -> None:
        if self._tls is not None:
            try:
                sock = self._tls.wrap_socket(sock, server_side=True)
            except (ssl.SSLError, ConnectionError):
                return  # the client has refused it, and has closed
        with sock:
            self.conversation = Conversation(sock)
            self._script(self.conversation)
            self.conversation.wait_for_the_end()


def answering(answer: bytes) -> Script:
    """Read the request and answer it; ``{accept}`` stands for the accept value due."""

    def script(conversation: Conversation) -> None:
        conversation.read_request()
        conversation.send(answer.replace(b"{accept}", conversation.accept))

    return script


def upgrading(behind: bytes = b"", fields: bytes = b"") -> Script:
    """Upgrade properly, with more header fields and more bytes behind."""
    return answering(SWITCHING.replace(b"%s", b"{accept}") + fields + b"\r\n" + behind)


def frame(opcode: int, payload: bytes = b"", *, first: int = 0x80, mask: bytes = b"") -> bytes:
    """One frame as RFC 6455 §5.2 has it, with any first bits, and masked where a masking key is given."""
    size = len(payload)
    flag = 0x80 if mask else 0
    if size < 126:
        header = bytes((first | opcode, flag | size))
    elif size < 65536:
        header = bytes((first | opcode, flag | 126)) + size.to_bytes(2, "big")
    else:
        header = bytes((first | opcode, flag | 127)) + size.to_bytes(8, "big")
    masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload)) if mask else payload
    return header + mask + masked


def _frames(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The opcodes and payloads of a client's frames."""
    while data:
        size, start = data[1] & 0x7F, 2
        if size >= 126:
            width = 2 if size == 126 else 8
            size, start = int.from_bytes(data[2 : 2 + width], "big"), 2 + width
        key, payload = data[start : start + 4], data[start + 4 : start + 4 + size]
        yield data[0] & 0x0F, bytes(byte ^ key[index % 4] for index, byte in enumerate(payload))
        data = data[start + 4 + size :]
