"""The peer of the conversations, made with ``websockets``, in a process of its own: it prints its two ports.

It ends when its standard input does.
"""

from __future__ import annotations

import contextlib
import json
import logging
import select
import ssl
import sys
import threading
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

from tests.faults.script import CLOSE_CODE, CLOSE_REASON, FAREWELL, GREETING, PLEASE_CLOSE, burst

silent = logging.getLogger("tests.faults.server")
silent.addHandler(logging.NullHandler())
silent.propagate = False  # The faults are in the conversations; the log of websockets is not under test.


def converse(ws: ServerConnection) -> None:
    """Echo each message; answer the first with a burst of messages, and a plea with a closing."""
    with contextlib.suppress(ConnectionClosed):
        for message in ws:
            if message == PLEASE_CLOSE:
                ws.send(FAREWELL)
                ws.close(CLOSE_CODE, CLOSE_REASON)
                return
            ws.send(message)
            if message == GREETING:
                text, fragments, data = burst()
                ws.send(text)
                ws.send(fragments)
                ws.ping(b"a ping")
                ws.send(data)


class GuardedSocket(ssl.SSLSocket):
    """A TLS socket that one thread may read while another one writes or closes it, as websockets does.

    OpenSSL allows no two calls for one connection at the same time, and CPython 3.11 does not prevent them. ``recv``
    sends an alert at EOF: if ``sendall`` was sending a record, the client got a bad record MAC.

    A listening socket outlives clients that are reset before they are accepted, after which websockets ends.
    """

    _guard: contextlib.AbstractContextManager[object] = contextlib.nullcontext()

    def accept(self) -> tuple[ssl.SSLSocket, Any]:
        while True:
            with contextlib.suppress(OSError):
                sock, address = super().accept()
                assert isinstance(sock, GuardedSocket)
                sock._guard = threading.RLock()
                return sock, address

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        while True:
            with self._guard, contextlib.suppress(ssl.SSLWantReadError):
                self.settimeout(0)
                return super().recv(buflen, flags)
            select.select([self], [], [])

    def sendall(self, data: Any, flags: int = 0) -> None:
        with self._guard:
            self.settimeout(None)
            super().sendall(data, flags)

    def close(self) -> None:
        with self._guard:
            super().close()


def listen(context: ssl.SSLContext | None) -> Server:
    # Threads, because OpenSSL keeps a queue of errors for each: with tasks, one connection's fault ended another one.
    return serve(converse, "127.0.0.1", 0, logger=silent, ping_interval=None, close_timeout=1, ssl=context)


def main(certificate: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sslsocket_class = GuardedSocket
    context.load_cert_chain(certificate)
    context.num_tickets = 0  # All records after the handshake are then the conversation's.
    servers = [listen(None), listen(context)]
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    print(json.dumps([server.socket.getsockname()[1] for server in servers]), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1])
