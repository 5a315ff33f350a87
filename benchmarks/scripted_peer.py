"""A peer for :mod:`benchmarks.calls`: the server's half of one connection, which acts only while the client waits.

It runs in the client's thread, so nothing depends on timing. The protocol is wsproto's: none of polysocket's code is
used.
"""

from __future__ import annotations

import functools
import select
import socket
import ssl
from types import TracebackType
from typing import Any, Self

from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Message, Ping, Request
from wsproto.extensions import Extension, PerMessageDeflate

__all__ = ["ScriptedPeer"]

HOST = "127.0.0.1"  # an address, since looking up a name may take a thread
READ_SIZE = 64 * 1024  # bytes; any request or frame of a benchmark is smaller
PATIENCE = (
    10  # seconds; what the client has sent arrives much sooner, and a client that sent nothing would wait forever
)


class ScriptedPeer:
    """A server for one connection on ``url``, which acts in :meth:`step` only.

    It accepts the connection, answers the opening handshake, Pings and the Close, and sends the messages that were
    given to :meth:`say`. With ``compression``, it agrees on permessage-deflate and compresses every message.
    """

    def __init__(self, *, tls: bool = False, compression: bool = False) -> None:
        self._listener = socket.create_server((HOST, 0))
        self._is_expecting = False
        self._tls = tls
        self._compression = compression
        self._socket: socket.socket | None = None
        self._has_shaken_hands = not tls
        self._protocol = WSConnection(ConnectionType.SERVER)
        self._messages: list[str | bytes] = []
        self._has_ended = False

    @property
    def url(self) -> str:
        """The URL to connect to."""
        return f"{'wss' if self._tls else 'ws'}://{HOST}:{self._listener.getsockname()[1]}/"

    @property
    def client_options(self) -> dict[str, Any]:
        """The options that ``connect`` needs to trust this peer."""
        return {"ssl": _client_context()} if self._tls else {}

    def say(self, *messages: str | bytes) -> None:
        """Send these messages in one piece at the next step."""
        self._messages.extend(messages)

    def expect_client(self) -> None:
        """Accept a connection at the next step; a client may wait for something else before, such as an address."""
        self._is_expecting = True

    def step(self) -> None:
        """Do the one thing that the client waits for: accept the connection, answer, or send the messages."""
        if not self._is_expecting:
            return
        if self._socket is None:
            self._socket = self._accept()
            if not select.select([self._socket], [], [], 0)[0]:
                return
            # The client has not waited for the connection, but waits for an answer.
        if self._messages:
            self._socket.sendall(b"".join(self._protocol.send(_message(each)) for each in self._messages))
            self._messages.clear()
        else:
            while not (self._has_ended or self._answer(self._socket)):
                pass

    def _accept(self) -> socket.socket:
        _wait_until_readable(self._listener)
        sock, _ = self._listener.accept()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._tls:
            sock = _server_context().wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        sock.setblocking(False)
        return sock

    def _answer(self, sock: socket.socket) -> bool:
        """Read once; return whether that made the peer send something."""
        if not (isinstance(sock, ssl.SSLSocket) and sock.pending()):
            _wait_until_readable(sock)
        try:
            if not self._has_shaken_hands:
                assert isinstance(sock, ssl.SSLSocket)
                sock.do_handshake()
                self._has_shaken_hands = True
                return False  # The client has sent its Finished, and a request after it.
            data = sock.recv(READ_SIZE)
        except ssl.SSLWantReadError:
            return not self._has_shaken_hands  # The answer to the client's Hello was sent.
        self._has_ended = not data
        if self._has_ended:
            return False
        self._protocol.receive_data(data)
        answer = b""
        for event in self._protocol.events():
            match event:
                case Request():
                    extensions: list[Extension] = [PerMessageDeflate()] if self._compression else []
                    answer += self._protocol.send(AcceptConnection(extensions=extensions))
                case Ping():
                    answer += self._protocol.send(event.response())
                case CloseConnection():
                    answer += self._protocol.send(event.response())
                    self._has_ended = True
        sock.sendall(answer)
        if self._has_ended:
            sock.shutdown(socket.SHUT_WR)  # RFC 6455 §7.1.1: the server ends the TCP connection first
        return bool(answer)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._listener.close()
        if self._socket is not None:
            self._socket.close()


def _wait_until_readable(sock: socket.socket) -> None:
    if not select.select([sock], [], [], PATIENCE)[0]:
        raise AssertionError(f"the client waits, but has sent nothing within {PATIENCE} seconds")


def _message(data: str | bytes) -> Message[Any]:
    return Message(data)


@functools.cache
def _authority() -> Any:  # trustme's types name pyOpenSSL, which need not be installed
    import trustme

    return trustme.CA(key_type=trustme.KeyType.ECDSA)


@functools.cache
def _server_context() -> ssl.SSLContext:
    import trustme

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.num_tickets = 0  # a session ticket after the handshake would be read by one client's receive, but not all
    _authority().issue_cert(HOST, key_type=trustme.KeyType.ECDSA).configure_cert(context)
    return context


@functools.cache
def _client_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    _authority().configure_trust(context)
    return context
