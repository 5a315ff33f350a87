"""A WebSocket echo server on loopback, for tests and demonstrations.

It is not for production: each connection has a thread of its own, and the number of connections is not limited.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import selectors
import socket
import ssl
import threading
from types import TracebackType
from typing import Self, cast

from polysocket._logger import get_logger
from polysocket._opening.accept import accept_session
from polysocket._opening.tls import TLSStream
from polysocket.effects import Async, ByteStream, CoroutineEffect, run
from polysocket.effects.blocking import BlockingEffect
from polysocket.effects.polling import wait_until_ended, wait_until_ready
from polysocket.errors import InvalidRequest, OpeningFailed, WebSocketClosed
from polysocket.frames import Binary, Text
from polysocket.proxy import check_context
from polysocket.request import Request, basic_request, check_request
from polysocket.url import authority
from polysocket.websocket import WebSocket

__all__ = ["EchoServer"]

RETRY_DELAY = 0.1  # seconds after a failed accept(): short for a test, but long enough not to flood the log


class EchoServer:
    """A server that sends each message back, inside its ``with`` block. The end of the block drops all connections.

    The server listens on a TCP port, or on a Unix socket.

    Args:
        ssl: A server's TLS settings, with a certificate for ``localhost``. None for no TLS.
        host: The name or address to listen on.
        port: The port to listen on; 0 for a free one.
        unix_path: The path of the Unix socket to listen on. The end of the block removes the file.
        limits: The compression, subprotocols, sizes and time limits that the server accepts.

    Raises:
        InvalidRequest: An argument can't be used.
    """

    def __init__(
        self,
        *,
        ssl: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        unix_path: str | os.PathLike[str] | None = None,
        limits: Request = basic_request,
    ) -> None:
        _check_context(ssl)
        if not isinstance(host, str):
            raise InvalidRequest(f"host is a str, not {type(host).__name__}")
        if type(port) is not int or port not in range(65536):
            raise InvalidRequest(f"port is a number from 0 to 65535, not {port!r}")
        if not isinstance(unix_path, str | os.PathLike | None):
            raise InvalidRequest(f"unix_path is a path, not {type(unix_path).__name__}")
        check_request("limits", limits)
        self._ssl = ssl
        self._host = host
        self._port = port
        self._unix_path = None if unix_path is None else os.fsdecode(unix_path)
        self._limits = limits
        self._effect = BlockingEffect()
        self._lock = threading.Lock()
        self._streams: set[ByteStream] = set()
        self._listener: socket.socket | None = None
        self._threads: list[threading.Thread] = []

    @property
    def url(self) -> str:
        """The URL to connect to. Raises RuntimeError before the ``with`` block."""
        if self._listener is None:
            raise RuntimeError("an EchoServer has a url inside its with block only: it listens on a free port")
        scheme = "ws" if self._ssl is None else "wss"
        if self._unix_path is not None:
            return f"{scheme}://localhost/"
        host = "localhost" if self._host == "127.0.0.1" else self._host  # the name for which certificates are made
        return f"{scheme}://{authority(host, self._listener.getsockname()[1])}/"

    def __enter__(self) -> Self:
        resources, listening = contextlib.ExitStack(), None
        try:
            if self._unix_path is None:
                self._listener = resources.enter_context(_tcp_listener(self._host, self._port))
            else:
                self._listener = resources.enter_context(_unix_listener(self._unix_path))
                resources.callback(_remove_file, self._unix_path)
            self._stopping, self._stop = map(resources.enter_context, socket.socketpair())
            listening = threading.Thread(target=self._run, args=(self._listener, resources), daemon=True)
            self._listening = listening
            listening.start()
        except BaseException:  # The system has no more threads, or a signal handler has raised.
            if listening in threading.enumerate():
                self._stop.close()
            else:
                resources.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._stop.close()  # wakes the thread that listens
        wait_until_ended(self._listening)

    def _run(self, listener: socket.socket, resources: contextlib.ExitStack) -> None:
        """Serve clients until the server stops, then end all that was begun.

        It is done in this thread, since a signal handler may interrupt the one of the ``with`` block.
        """
        with resources:
            self._listen(listener)
            with self._lock:
                for stream in self._streams:
                    stream.abort()
            for thread in self._threads:
                thread.join()

    def _listen(self, listener: socket.socket) -> None:
        while self._has_client(listener):
            try:
                sock, _ = listener.accept()
            except OSError as error:  # such as too many open files, or a client that has disconnected
                get_logger().warning("the echo server could not accept a connection: %s", error)
                wait_until_ready(self._stopping.fileno(), readable=True, writable=False, seconds=RETRY_DELAY)
                continue
            stream: ByteStream = run(self._effect.adopt(sock))
            with self._lock:
                self._streams.add(stream)
            thread = threading.Thread(target=self._serve, args=(stream,), daemon=True)
            self._threads = [*filter(threading.Thread.is_alive, self._threads), thread]
            try:
                thread.start()
            except RuntimeError as error:  # The system has no more threads.
                get_logger().warning("the echo server could not serve a connection: %s", error)
                stream.abort()
                self._threads.remove(thread)
                with self._lock:
                    self._streams.discard(stream)

    def _has_client(self, listener: socket.socket) -> bool:
        """Wait for a client; return False once the server stops."""
        with selectors.DefaultSelector() as selector:  # select() takes no file descriptor above 1023.
            selector.register(listener, selectors.EVENT_READ)
            selector.register(self._stopping, selectors.EVENT_READ)
            return all(key.fileobj is listener for key, _ in selector.select())

    def _serve(self, stream: ByteStream) -> None:
        try:
            run(self._echo(stream))
        except (OpeningFailed, WebSocketClosed, OSError):
            pass  # An error of a client is reported to the client, and is no error of the server.
        finally:
            stream.abort()
            with self._lock:
                self._streams.discard(stream)

    async def _echo(self, stream: ByteStream) -> None:
        if self._ssl is not None:
            async with self._effect.time_limit(self._limits.open_timeout):
                stream = await TLSStream.start(stream, self._ssl, self._effect, server_side=True)
        session = await accept_session(self._effect, stream, self._limits)
        websocket: WebSocket[Async] = WebSocket(session, CoroutineEffect())
        async with websocket:
            async for message in websocket:
                await websocket.send(Text(message) if isinstance(message, str) else Binary(message))


def _check_context(context: object) -> None:
    """Raise :class:`InvalidRequest` unless the context, if any, is one for servers."""
    check_context(context)
    if context is not None and cast("ssl.SSLContext", context).protocol == ssl.PROTOCOL_TLS_CLIENT:
        raise InvalidRequest("ssl is a context for clients: a server needs ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)")


def _tcp_listener(host: str, port: int) -> socket.socket:
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    return socket.create_server(address, family=family)


def _remove_file(unix_path: str) -> None:
    if not unix_path.startswith("\0"):  # an abstract address is no file
        pathlib.Path(unix_path).unlink(missing_ok=True)


def _unix_listener(path: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(path)
        listener.listen()
    except BaseException:
        listener.close()
        raise
    return listener
