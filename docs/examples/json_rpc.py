"""A client of JSON-RPC 2.0 over WebSocket, written once for blocking sockets, threads, asyncio and trio."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any, TypeVar

from polysocket import Async, WebSocket, polymorphic
from polysocket.multiplexing import Exchange, Multiplexer

F = TypeVar("F")

Params = Sequence[Any] | dict[str, Any]


class JsonRpcError(Exception):
    """An error that the server returned, with its ``code``, ``message`` and ``data``."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(f"{error['message']} ({error['code']})")
        self.code: int = error["code"]
        self.message: str = error["message"]
        self.data: Any = error.get("data")


class JsonRpcClient(Multiplexer[F]):
    """A client that calls a server's methods; many tasks and threads may call at once."""

    def __init__(self, websocket: WebSocket[F], *, timeout: float | None = 10) -> None:
        super().__init__(websocket)
        self._timeout = timeout

    @polymorphic
    async def call(self: JsonRpcClient[Async], method: str, params: Params = ()) -> Any:
        """Call a method and return its result. Raises JsonRpcError, ReceiveTimeout, WebSocketClosed."""
        async with self.exchange() as exchange:
            await self.websocket.send_json(_request(method, params, exchange))
            return _result(await exchange.receive(timeout=self._timeout))

    @polymorphic
    async def notify(self: JsonRpcClient[Async], method: str, params: Params = ()) -> None:
        """Call a method that sends no reply."""
        await self.websocket.send_json(_notification(method, params))

    @polymorphic
    async def batch(self: JsonRpcClient[Async], *calls: tuple[str, Params]) -> list[Any]:
        """Send several calls in one message and return their results in order. Raises the first error."""
        if not calls:
            return []  # An empty batch is an invalid request (JSON-RPC 2.0 §6).
        async with AsyncExitStack() as stack:
            exchanges = [await stack.enter_async_context(self.exchange()) for _ in calls]
            requests = [_request(*call, exchange) for call, exchange in zip(calls, exchanges, strict=True)]
            await self.websocket.send_json(requests)
            answers = [await exchange.receive(timeout=self._timeout) for exchange in exchanges]
        return [_result(answer) for answer in answers]

    async def on_message(self, message: str | bytes, /) -> None:
        """Hand each answer to the call that waits for it."""
        received: dict[str, Any] | list[dict[str, Any]] = json.loads(message)
        for answer in received if isinstance(received, list) else [received]:
            if "method" in answer:
                continue  # a call from the server, which this client ignores
            if answer["id"] is None:
                self.finish_all(JsonRpcError(answer["error"]))  # The server could not read a call, so it names none.
            else:
                self.deliver(answer["id"], answer)


def _request(method: str, params: Params, exchange: Exchange) -> dict[str, Any]:
    return {**_notification(method, params), "id": exchange.number}


def _notification(method: str, params: Params) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": method, "params": params}


def _result(answer: dict[str, Any]) -> Any:
    if "error" in answer:
        raise JsonRpcError(answer["error"])
    return answer["result"]
