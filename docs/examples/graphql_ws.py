"""A client of GraphQL over WebSocket (graphql-transport-ws), written once for every flavour."""

from __future__ import annotations

import json
from collections import deque
from typing import Any, TypeVar

from polysocket import Async, Buffer, WebSocket, polymorphic
from polysocket.multiplexing import Multiplexer, Subscription

F = TypeVar("F")

SUBPROTOCOL = "graphql-transport-ws"


class GraphQLFailed(Exception):
    """The server could not execute an operation; ``errors`` are GraphQL's."""

    def __init__(self, errors: list[dict[str, Any]]) -> None:
        super().__init__("; ".join(error["message"] for error in errors))
        self.errors: list[dict[str, Any]] = errors


class GraphQLClient(Multiplexer[F]):
    """A client with many operations at once; open its websocket with ``subprotocols=["graphql-transport-ws"]``."""

    def __init__(self, websocket: WebSocket[F], *, payload: Any = None, timeout: float | None = 10) -> None:
        if websocket.subprotocol != SUBPROTOCOL:
            raise ValueError(f"the server did not agree on the subprotocol {SUBPROTOCOL}")
        super().__init__(websocket)
        self._payload = payload
        self._timeout = timeout
        self._pings: deque[int] = deque()

    def subscribe(
        self, query: str, variables: dict[str, Any] | None = None, *, buffer: int = 1000
    ) -> Subscription[F, dict[str, Any]]:
        """Subscribe to the results of an operation: each has ``data``, and ``errors`` if there are some."""
        request = {"query": query, "variables": variables or {}}
        return self.subscription(request, buffer=Buffer.bounded(buffer))

    @polymorphic
    async def execute(self: GraphQLClient[Async], query: str, variables: dict[str, Any] | None = None) -> Any:
        """Execute a query or a mutation, and return its data. Raises GraphQLFailed."""
        async with self.subscribe(query, variables) as results:
            result = await results.receive(timeout=self._timeout)
        if "errors" in result:
            raise GraphQLFailed(result["errors"])
        return result["data"]

    @polymorphic
    async def ping(self: GraphQLClient[Async]) -> None:
        """Send the protocol's own ping, and wait for the pong."""
        async with self.exchange() as exchange:
            self._pings.append(exchange.number)
            await self.websocket.send_json({"type": "ping"})
            await exchange.receive(timeout=self._timeout)

    async def on_start(self: GraphQLClient[Async]) -> None:
        """Initialize the connection, and wait for the server's acknowledgement."""
        init = {"type": "connection_init"}
        await self.websocket.send_json(init if self._payload is None else {**init, "payload": self._payload})
        while True:
            message = await self.websocket.receive_text(timeout=self._timeout)
            if json.loads(message)["type"] == "connection_ack":
                return
            await self.on_message(message)  # A ping may come first.

    async def on_subscribe(self: GraphQLClient[Async], number: int, request: dict[str, Any], /) -> None:
        """Send an operation."""
        await self.websocket.send_json({"id": str(number), "type": "subscribe", "payload": request})

    async def on_unsubscribe(self: GraphQLClient[Async], number: int, /) -> None:
        """Tell the server that an operation is no longer wanted."""
        await self.websocket.send_json({"id": str(number), "type": "complete"})

    async def on_message(self: GraphQLClient[Async], message: str | bytes, /) -> None:
        """Hand each result to its operation, and answer pings."""
        match json.loads(message):
            case {"type": "next", "id": number, "payload": result}:
                self.deliver(int(number), result)
            case {"type": "error", "id": number, "payload": errors}:
                self.finish(int(number), GraphQLFailed(errors))
            case {"type": "complete", "id": number}:
                self.finish(int(number))
            case {"type": "ping"}:
                await self.websocket.send_json({"type": "pong"})
            case {"type": "pong"}:
                if self._pings:
                    self.deliver(self._pings.popleft(), None)
            case other:
                raise ValueError(f"graphql-transport-ws has no such message: {other}")
