"""The servers of the contract's tests: the embedded echo server, and a peer that a test controls byte by byte.

The peer uses no code of polysocket: it has its own opening handshake and framing.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import hashlib
import pathlib
import re
import socket
import ssl
import struct
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

import trustme

from polysocket import ConnectOptions, Request, basic_request
from polysocket.testing import EchoServer
from polysocket.testing.contract import wire
from polysocket.testing.contract.wire import Wire

T = TypeVar("T")

TRANSPORTS = ["tcp", "tls", "unix", "sock"]
PATIENCE = 10  # seconds to wait for a client before the test fails: far more than a slow machine needs
DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover"


class Target(Protocol):
    """A server to connect to."""

    @property
    def url(self) -> str:
        """The server's URL."""
        ...

    def options(self) -> ConnectOptions:
        """Return new options for one ``connect`` to this server."""
        ...

    def hang_up(self) -> None:
        """End the connection, if the server does not do so itself."""
        ...


@functools.cache
def _authority() -> Any:  # Any: its types need pyOpenSSL, which may not be installed
    return trustme.CA(key_type=trustme.KeyType.ECDSA)


@functools.cache
def server_context() -> ssl.SSLContext:
    """Return TLS settings for a server called localhost."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    _authority().issue_cert("localhost", key_type=trustme.KeyType.ECDSA).configure_cert(context)
    return context


@functools.cache
def client_context() -> ssl.SSLContext:
    """Return TLS settings that trust the server."""
    context = ssl.create_default_context()
    _authority().configure_trust(context)
    return context


class Place:
    """A transport, and a folder for Unix sockets."""

    def __init__(self, transport: str, folder: pathlib.Path) -> None:
        self.transport = transport
        self.folder = folder
        self._paths = (str(folder / f"{number}.sock") for number in range(100))

    @property
    def server_ssl(self) -> ssl.SSLContext | None:
        """The context of a server, or None without TLS."""
        return server_context() if self.transport == "tls" else None

    def new_path(self) -> str | None:
        """Return a path for a Unix socket, or None for another transport."""
        return next(self._paths) if self.transport == "unix" else None

    def options(self, port: int, path: str | None) -> ConnectOptions:
        """Return the options of a client. Its closing is bounded, so that a test that fails does not hang."""
        options: ConnectOptions = {"close_timeout": 5}
        if self.transport == "tls":
            options["ssl"] = client_context()
        elif self.transport == "unix":
            options["unix_path"] = path
        elif self.transport == "sock":
            options["sock"] = socket.create_connection(("127.0.0.1", port))
        return options


class Echo:
    """The embedded echo server on a transport."""

    def __init__(self, place: Place, limits: Request = basic_request) -> None:
        self._place = place
        self._path = place.new_path()
        self._server = EchoServer(ssl=place.server_ssl, unix_path=self._path, limits=limits)

    @property
    def url(self) -> str:
        return self._server.url

    def options(self) -> ConnectOptions:
        port = re.search(r":(\d+)/", self.url)
        return self._place.options(int(port[1]) if port else 0, self._path)

    def hang_up(self) -> None:
        """Do nothing: the echo server answers a Close."""

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._server.__exit__(kind, error, tb)


class Listener:
    """A listening socket. The system accepts connections, and nothing is sent on them."""

    def __init__(self, place: Place, backlog: int = 5) -> None:
        self.path: str | None = place.new_path()
        self.socket: socket.socket = socket.socket(socket.AF_INET if self.path is None else socket.AF_UNIX)
        self.socket.bind(self.path or ("127.0.0.1", 0))
        self.socket.listen(backlog)
        self._place = place
        self._port = 0 if self.path else self.socket.getsockname()[1]

    @property
    def url(self) -> str:
        scheme = "ws" if self._place.server_ssl is None else "wss"
        return f"{scheme}://localhost:{self._port or 80}/"

    def options(self) -> ConnectOptions:
        return self._place.options(self._port, self.path)

    def answer_once(self, data: bytes) -> None:
        """Send these bytes to the next client after its first bytes, and hang up."""
        self.socket.settimeout(PATIENCE)
        sock, _ = self.socket.accept()
        with sock:
            sock.settimeout(PATIENCE)
            sock.recv(65536)
            sock.sendall(data)

    def hang_up(self) -> None:
        self.socket.close()


class Stream:
    """The peer's side of a connection: a socket, and TLS if there is a context."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext | None) -> None:
        self.socket = sock
        self.has_received_close_notify: bool = False
        self._tls: ssl.SSLObject | None = None
        self._lock = threading.Lock()  # OpenSSL's object does not let one thread send while another receives
        if context is not None:
            self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
            self._read_until_done(self._tls.do_handshake)
            sock.sendall(self._outgoing.read())

    @property
    def has_tls(self) -> bool:
        """Whether the connection has TLS."""
        return self._tls is not None

    def encrypted(self, data: bytes) -> bytes:
        """Return the bytes on the wire for this data; the caller sends them."""
        if self._tls is None:
            return data
        with self._lock:
            self._tls.write(data)
            return self._outgoing.read()

    def receive(self) -> bytes:
        """Wait for bytes; return ``b""`` at EOF."""
        if self._tls is None:
            return self.socket.recv(1 << 20)
        try:
            return self._read_until_done(functools.partial(self._tls.read, 1 << 20))
        except ssl.SSLZeroReturnError:
            self.has_received_close_notify = True
            return b""
        except ssl.SSLEOFError:
            return b""

    def close_notify(self) -> bytes:
        """Return the bytes of TLS's close_notify; the caller sends them."""
        assert self._tls is not None
        with self._lock, contextlib.suppress(ssl.SSLWantReadError):
            self._tls.unwrap()
        return self._outgoing.read()

    def _read_until_done(self, step: Callable[[], T]) -> T:
        while True:
            with self._lock:
                try:
                    return step()
                except ssl.SSLWantReadError:
                    if answer := self._outgoing.read():
                        self.socket.sendall(answer)
            data = self.socket.recv(1 << 16)
            with self._lock:
                if data:
                    self._incoming.write(data)
                else:
                    self._incoming.write_eof()


Answer = Callable[[bytes], bytes]
"""A function from the bytes of a request to the peer's answer."""


def upgrading(*fields: str, trailing: bytes = b"") -> Answer:
    """Return an answer that accepts, with these header fields, and with bytes that follow in the same piece."""

    def answer(request: bytes) -> bytes:
        key = re.search(rb"(?i)\r\nsec-websocket-key: *([^\r ]*)", request)
        assert key is not None
        accept = base64.b64encode(hashlib.sha1(key[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()).decode()
        lines = [
            "HTTP/1.1 101 Switching Protocols",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Accept: {accept}",
            *fields,
        ]
        return "".join(f"{line}\r\n" for line in [*lines, ""]).encode() + trailing

    return answer


def saying(data: bytes) -> Answer:
    """Return an answer with these bytes, whatever they are."""
    return lambda _: data


def answering(status: str, *fields: str, body: bytes = b"") -> Answer:
    """Return an answer with a status other than 101."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields, ""]
    return lambda _: "".join(f"{line}\r\n" for line in lines).encode() + body


class Peer:
    """A server that a test controls byte by byte: one answer for each connection, then frames on the last one.

    Its methods block, for a bounded time. Call those that wait for the client via ``flavour.call``.
    """

    def __init__(self, place: Place, *answers: Answer, receive_buffer: int | None = None) -> None:
        self.requests: list[bytes] = []
        self._listener = Listener(place)
        self._ssl = place.server_ssl
        self._answers = answers or (upgrading(),)
        self._connection: Future[Stream] = Future()
        self._stop = threading.Event()
        self._answered_requests = threading.Semaphore(0)
        self._received = bytearray()
        if receive_buffer is not None:
            self._listener.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._thread = threading.Thread(target=self._accept, name="a peer")

    @property
    def url(self) -> str:
        return self._listener.url

    def options(self) -> ConnectOptions:
        return self._listener.options()

    def __enter__(self) -> Self:
        self._listener.socket.settimeout(0.05)  # seconds between two looks at _stop
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()
        self.hang_up()
        self._listener.hang_up()

    # The opening handshake

    def _accept(self) -> None:
        try:
            for answer in self._answers[:-1]:
                with self._answered(answer).socket as sock, contextlib.suppress(OSError):
                    sock.recv(1)  # until the client disconnects
            self._connection.set_result(self._answered(self._answers[-1]))
        except BaseException as error:  # noqa: BLE001 - raised when the connection is used
            self._connection.set_exception(error)

    def _answered(self, answer: Answer) -> Stream:
        sock = self._next_connection()
        try:
            sock.settimeout(PATIENCE)
            if self._listener.path is None:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            stream = Stream(sock, self._ssl)
            request = b""
            while b"\r\n\r\n" not in request:
                data = stream.receive()
                if not data:
                    raise ConnectionError("the client has disconnected within its request")
                request += data
            self.requests.append(request)
            sock.sendall(stream.encrypted(answer(request)))
            self._answered_requests.release()
        except BaseException:
            sock.close()
            raise
        return stream

    def _next_connection(self) -> socket.socket:
        while not self._stop.is_set():
            with contextlib.suppress(TimeoutError):
                return self._listener.socket.accept()[0]
        raise ConnectionError("no client has connected")

    def wait_for_requests(self, count: int) -> None:
        """Wait until this many requests were answered."""
        for _ in range(count):
            assert self._answered_requests.acquire(timeout=PATIENCE), "no client has connected"

    def client_socket(self, send_buffer: int) -> socket.socket:
        """Connect a socket with a small send buffer to this peer, for ``connect(sock=…)``."""
        sock = socket.socket(self._listener.socket.family)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
            sock.connect(self._listener.socket.getsockname())
        except BaseException:
            sock.close()
            raise
        return sock

    # The connection

    @property
    def stream(self) -> Stream:
        """The last connection. Waits until it is open."""
        return self._connection.result(PATIENCE)

    def send(self, data: bytes) -> None:
        """Send bytes, whatever they are."""
        self.send_raw(self.stream.encrypted(data))

    def send_raw(self, data: bytes) -> None:
        """Send bytes on the socket, without TLS."""
        self.stream.socket.sendall(data)

    def wait_until_acknowledged(self) -> None:
        """Wait until the client's system has acknowledged all that was sent via TCP; only Linux tells."""
        if sys.platform != "linux":
            return
        import fcntl  # noqa: PLC0415 - not in Windows
        import termios  # noqa: PLC0415 - not in Windows

        deadline = time.monotonic() + PATIENCE
        while fcntl.ioctl(self.stream.socket, termios.TIOCOUTQ, bytes(4)) != bytes(4):
            assert time.monotonic() < deadline, "the client's system does not acknowledge what was sent"
            time.sleep(0.001)  # seconds: there is no event to wait for

    def frame(self) -> Wire:
        """Return the next frame from the client. Raises EOFError if the stream ends between two frames."""
        return wire.read(self._take)

    def frames(self, count: int) -> list[Wire]:
        """Return the next ``count`` frames from the client."""
        return [self.frame() for _ in range(count)]

    def rest(self) -> list[Wire]:
        """Return all frames up to EOF. Raises AssertionError if that is in the middle of a frame."""
        frames: list[Wire] = []
        while True:
            try:
                frames.append(self.frame())
            except (EOFError, ConnectionResetError):
                assert not self._received, "the stream ends in the middle of a frame"
                return frames

    def _take(self, size: int) -> bytes:
        while len(self._received) < size:
            data = self.stream.receive()
            if not data:
                raise EOFError
            self._received += data
        taken = bytes(self._received[:size])
        del self._received[:size]
        return taken

    def finish(self) -> list[Wire]:
        """Read up to the client's Close, answer it, and hang up; return the frames."""
        frames: list[Wire] = []
        while not frames or frames[-1].opcode != wire.CLOSE:
            frames.append(self.frame())
        self.send(wire.encode(wire.CLOSE, frames[-1].payload))
        self.hang_up()
        return frames

    def hang_up(self) -> None:
        """End the TCP connection, without a Close."""
        with contextlib.suppress(OSError):  # There is no connection if the opening has failed.
            self.stream.socket.close()

    def end_sending(self) -> None:
        """Send EOF, and read on."""
        if self.stream.has_tls:
            self.notify_close()
        self.stream.socket.shutdown(socket.SHUT_WR)

    def notify_close(self) -> None:
        """Send TLS's close_notify, and leave the connection open."""
        self.send_raw(self.stream.close_notify())

    def reset(self) -> None:
        """End the TCP connection with a reset (RST)."""
        sock = self.stream.socket
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
