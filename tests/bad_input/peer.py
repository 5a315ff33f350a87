"""A server on the loopback that a test scripts byte by byte, and that checks that the client closes its connections.

It uses nothing of polysocket.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self

Script = Callable[["Conversation"], None]

TOO_LONG = 10  # seconds to wait for the client before a test fails
SWITCHING = (
    b"HTTP/1.1 101 Switching Protocols\r\n"
    b"Upgrade: websocket\r\n"
    b"Connection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: {accept}\r\n"
)


class Conversation:
    """The server's view of one connection."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._has_upgraded = False
        self.request = b""
        self.received = b""

    def read_request(self) -> None:
        """Read the whole request of the opening handshake."""
        while b"\r\n\r\n" not in self.request:
            data = self._socket.recv(65536)
            assert data, f"the client left in its request: {self.request!r}"
            self.request += data

    def send(self, data: bytes) -> None:
        """Send all bytes."""
        self._socket.sendall(data)

    def answer(self, data: bytes) -> None:
        """Read the request and answer it; ``{accept}`` stands for the expected accept value."""
        self.read_request()
        self._has_upgraded = data.startswith(b"HTTP/1.1 101")
        self.send(data.replace(b"{accept}", self.accept_due))

    @property
    def accept_due(self) -> bytes:
        """The Sec-WebSocket-Accept that the request demands (RFC 6455 §4.2.2)."""
        key = re.search(rb"(?i)\r\nsec-websocket-key: *([^\r]*)", self.request)
        assert key is not None
        return base64.b64encode(hashlib.sha1(key[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())

    def send_until_refused(self, data: bytes, at_most: int = 64 * 1024 * 1024) -> None:
        """Send the data repeatedly until the client closes; fail if it reads ``at_most`` bytes."""
        with contextlib.suppress(ConnectionError):
            for _ in range(at_most // len(data)):
                self._socket.sendall(data)
            raise AssertionError(f"the client has read {at_most} bytes and not closed")

    def receive_more(self) -> None:
        """Wait for more bytes of the client."""
        data = self._socket.recv(65536)
        assert data, "the client left"
        self.received += data

    def end_sending(self) -> None:
        """Send EOF."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """End the connection with a TCP reset."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def wait_for_the_end(self) -> None:
        """Read until the client ends the connection. After its Close, send EOF first (RFC 6455 §7.1.1)."""
        if self._socket.fileno() == -1:
            return
        with contextlib.suppress(ConnectionError):  # the client has not read all bytes
            while data := self._socket.recv(65536):
                self.received += data
                if self.close_received is not None:
                    self.end_sending()

    @property
    def frames_received(self) -> list[tuple[int, bytes]]:
        """The opcodes and payloads of the client's frames."""
        return list(_frames(self.received)) if self._has_upgraded else []

    @property
    def close_received(self) -> tuple[int, str] | None:
        """Code and reason of the client's Close."""
        for opcode, payload in self.frames_received:
            if opcode == 8:
                return int.from_bytes(payload[:2], "big"), payload[2:].decode(errors="replace")
        return None


class Peer:
    """Serves connections with a script, one after the other, during a ``with`` block.

    At its end, the client must have made and closed each connection, or the test fails.
    """

    def __init__(
        self,
        script: Script,
        *,
        tls: ssl.SSLContext | None = None,
        unix_path: str | os.PathLike[str] | None = None,
        address: str = "127.0.0.1",
        connections: int = 1,
    ) -> None:
        self._script = script
        self._address = address
        self._host = f"[{address}]" if ":" in address else address
        self._tls = tls
        self._unix_path = None if unix_path is None else os.fspath(unix_path)
        self._connections = connections
        self._failure: BaseException | None = None
        self.conversations: list[Conversation] = []

    def __enter__(self) -> Self:
        scheme = "ws" if self._tls is None else "wss"
        if self._unix_path is None:
            family = socket.AF_INET6 if ":" in self._address else socket.AF_INET
            self._listener = socket.create_server((self._address, 0), family=family)
            self.port: int = self._listener.getsockname()[1]
            self.url = f"{scheme}://{self._host}:{self.port}/"
        else:
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(self._unix_path)
            self._listener.listen()
            self.url = f"{scheme}://localhost/"
        self._listener.settimeout(TOO_LONG)
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._thread.join()
        self._listener.close()
        if self._failure is not None:
            raise self._failure

    @property
    def conversation(self) -> Conversation:
        """The only conversation, after its end."""
        self._thread.join()
        (conversation,) = self.conversations
        return conversation

    def _serve(self) -> None:
        try:
            for _ in range(self._connections):
                sock, _ = self._listener.accept()
                with sock:
                    sock.settimeout(TOO_LONG)
                    self._converse(sock)
        except BaseException as error:  # noqa: BLE001 - __exit__ raises it
            self._failure = error

    def _converse(self, sock: socket.socket) -> None:
        if self._tls is not None:
            try:
                sock = self._tls.wrap_socket(sock, server_side=True)
            except (ssl.SSLError, ConnectionError):
                return  # refused: the client has closed
        with sock:
            conversation = Conversation(sock)
            self.conversations.append(conversation)
            self._script(conversation)
            conversation.wait_for_the_end()


def answering(answer: bytes) -> Script:
    """Return a script that reads the request and sends this answer."""
    return lambda conversation: conversation.answer(answer)


def upgrading(frames: bytes = b"", fields: bytes = b"") -> Script:
    """Return a script that upgrades, with more header fields, and then sends frames."""
    return answering(SWITCHING + fields + b"\r\n" + frames)


def frame(opcode: int, payload: bytes = b"", *, first: int = 0x80, mask: bytes = b"") -> bytes:
    """Return a frame as in RFC 6455 §5.2, with any first bits, and masked if there is a masking key."""
    size = len(payload)
    flag = 0x80 if mask else 0
    if size < 126:
        header = bytes((first | opcode, flag | size))
    elif size < 65536:
        header = bytes((first | opcode, flag | 126)) + size.to_bytes(2, "big")
    else:
        header = bytes((first | opcode, flag | 127)) + size.to_bytes(8, "big")
    return header + mask + (_masked(payload, mask) if mask else payload)


def _masked(payload: bytes, key: bytes) -> bytes:
    return bytes(byte ^ key[index % 4] for index, byte in enumerate(payload))


def _frames(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the complete frames of a client."""
    while len(data) > 5:
        size, start = data[1] & 0x7F, 2
        if size >= 126:
            width = 2 if size == 126 else 8
            size, start = int.from_bytes(data[2 : 2 + width], "big"), 2 + width
        end = start + 4 + size
        if len(data) < end:
            return
        yield data[0] & 0x0F, _masked(data[start + 4 : end], data[start : start + 4])
        data = data[end:]
