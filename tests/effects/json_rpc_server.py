"""A JSON-RPC server, made with ``websockets``."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from websockets.sync.server import ServerConnection, serve

from tests.backends.flavours import PATIENCE

Message = dict[str, Any]


class Server:
    """Serves ``subtract``, and ``hold``, which is answered after the next call; closes at ``leave``."""

    def __init__(self) -> None:
        self.notified: list[Message] = []
        self._is_holding = threading.Event()

    def wait_until_holding(self) -> None:
        """Wait until a call of ``hold`` has arrived."""
        assert self._is_holding.wait(PATIENCE)

    def __call__(self, connection: ServerConnection) -> None:
        held: list[Message] = []
        for text in connection:
            try:
                message = json.loads(text)
            except ValueError:
                connection.send(json.dumps(self.error(None, -32700, "Parse error")))
                continue
            if isinstance(message, list):
                connection.send(json.dumps([self.answer(request) for request in reversed(message)]))
            elif "id" not in message:
                self.notified.append(message)
            elif message["method"] == "hold":
                held.append(message)
                self._is_holding.set()
            elif message["method"] == "leave":
                connection.close(4000, "as asked for")
            else:
                connection.send(json.dumps({"jsonrpc": "2.0", "method": "news", "params": []}))
                for request in (message, *held):
                    connection.send(json.dumps(self.answer(request)))
                held.clear()

    def answer(self, request: Message) -> Message:
        match request:
            case {"method": "subtract", "params": [minuend, subtrahend], "id": number}:
                return {"jsonrpc": "2.0", "result": minuend - subtrahend, "id": number}
            case {"method": "subtract", "params": {"minuend": minuend, "subtrahend": subtrahend}, "id": number}:
                return {"jsonrpc": "2.0", "result": minuend - subtrahend, "id": number}
            case {"method": "hold", "id": number}:
                return {"jsonrpc": "2.0", "result": "held", "id": number}
        return self.error(request["id"], -32601, "Method not found", request["method"])

    def error(self, number: int | None, code: int, message: str, data: str = "") -> Message:
        return {"jsonrpc": "2.0", "error": {"code": code, "message": message, "data": data}, "id": number}


@contextmanager
def serving(answers: Server) -> Iterator[str]:
    """Run a server, and yield its URL; at the end, wait for its threads."""
    threads = set(threading.enumerate())
    with serve(answers, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, name="JSON-RPC server").start()
        yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}/"
        server.shutdown()
        for thread in set(threading.enumerate()) - threads:
            if not thread.name.startswith("Trio thread"):
                thread.join(PATIENCE)  # one thread for each connection
