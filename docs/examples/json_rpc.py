"""A client of JSON-RPC 2.0 over WebSocket, written once for blocking sockets, threads, asyncio and trio."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, TypeVar

from polysocket import Async, WebSocket, polymorphic
from polysocket.polymorphic import PolymorphicClient

F = TypeVar("F")

Params = Sequence[Any] | dict[str, Any]


class JsonRpcError(Exception):
    """An error that the server returned, with its ``code``, ``message`` and ``data``."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(f"{error['message']} ({error['code']})")
        self.code: int = error["code"]
        self.message: str = error["message"]
        self.data: Any = error.get("data")


class JsonRpcClient(PolymorphicClient[F]):
    """A client that calls a server's methods; one task or thread at a time may wait for a result."""

    def __init__(self, websocket: WebSocket[F], *, timeout: float | None = 10) -> None:
        super().__init__(websocket)
        self._timeout = timeout
        self._last_id = 0
        self._answers: dict[int, dict[str, Any]] = {}

    @polymorphic
    async def call(self: JsonRpcClient[Async], method: str, params: Params = ()) -> Any:
        """Call a method and return its result. Raises JsonRpcError, ReceiveTimeout, WebSocketClosed."""
        return await self.result(await self.begin(method, params))

    @polymorphic
    async def begin(self: JsonRpcClient[Async], method: str, params: Params = ()) -> int:
        """Call a method and return the number of the call, for :meth:`result`."""
        request = self._request(method, params)
        await self.websocket.send_text(json.dumps(request))
        number: int = request["id"]
        return number

    @polymorphic
    async def result(self: JsonRpcClient[Async], number: int) -> Any:
        """Return the result of a call that was begun; replies to other calls are kept."""
        return _result(await self._answer(number))

    @polymorphic
    async def notify(self: JsonRpcClient[Async], method: str, params: Params = ()) -> None:
        """Call a method that sends no reply."""
        await self.websocket.send_text(json.dumps(_notification(method, params)))

    @polymorphic
    async def batch(self: JsonRpcClient[Async], *calls: tuple[str, Params]) -> list[Any]:
        """Send several calls in one message and return their results in order. Raises the first error."""
        if not calls:
            return []  # An empty batch is an invalid request (JSON-RPC 2.0 §6).
        requests = [self._request(method, params) for method, params in calls]
        await self.websocket.send_text(json.dumps(requests))
        answers = [await self._answer(request["id"]) for request in requests]
        return [_result(answer) for answer in answers]

    async def _answer(self: JsonRpcClient[Async], number: int) -> dict[str, Any]:
        while number not in self._answers:
            self._keep(json.loads(await self.websocket.receive_text(timeout=self._timeout)))
        return self._answers.pop(number)

    def _request(self, method: str, params: Params) -> dict[str, Any]:
        self._last_id += 1
        return {**_notification(method, params), "id": self._last_id}

    def _keep(self, message: dict[str, Any] | list[dict[str, Any]]) -> None:
        for answer in message if isinstance(message, list) else [message]:
            if "method" in answer:
                continue  # a call from the server, which this client ignores
            if answer["id"] is None:
                raise JsonRpcError(answer["error"])  # the server could not read the call, so it names none
            self._answers[answer["id"]] = answer


def _notification(method: str, params: Params) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": method, "params": params}


def _result(answer: dict[str, Any]) -> Any:
    if "error" in answer:
        raise JsonRpcError(answer["error"])
    return answer["result"]
