"""A GraphQL server, made with strawberry, under uvicorn in a thread."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from typing import Any

import strawberry
import uvicorn
from strawberry.asgi import GraphQL
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL

PATIENCE = 10  # seconds


class Watch:
    """The events in the server that a test looks at."""

    def __init__(self) -> None:
        self.has_ended = threading.Event()
        """Set when the server has ended a subscription to ``forever``."""
        self.payloads: list[object] = []
        """The payloads of ``connection_init``."""


watch = Watch()


@strawberry.type
class Query:
    @strawberry.field
    def double(self, number: int) -> int:
        return 2 * number

    @strawberry.field
    async def later(self, seconds: float) -> str:
        await asyncio.sleep(seconds)
        return "later"


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def count(self, up_to: int, start: int = 0) -> AsyncGenerator[int, None]:
        for number in range(start, up_to):
            yield number
            await asyncio.sleep(0)

    @strawberry.subscription
    async def forever(self) -> AsyncGenerator[int, None]:
        number = 0
        try:
            while True:
                yield (number := number + 1)
                await asyncio.sleep(0.001)
        finally:
            watch.has_ended.set()

    @strawberry.subscription
    async def fail(self) -> AsyncGenerator[int, None]:
        yield 1
        raise LookupError("on purpose")


class App(GraphQL[Any, Any]):
    async def on_ws_connect(self, context: Any) -> Any:
        watch.payloads.append(context.get("connection_params"))
        if context.get("connection_params") == {"token": "wrong"}:
            from strawberry.exceptions import ConnectionRejectionError

            raise ConnectionRejectionError
        return await super().on_ws_connect(context)


@contextmanager
def serving() -> Iterator[str]:
    """Run the server, and return its URL; at the end, wait for its thread."""
    watch.has_ended.clear()
    watch.payloads.clear()
    app = App(
        strawberry.Schema(Query, subscription=Subscription),
        subscription_protocols=[GRAPHQL_TRANSPORT_WS_PROTOCOL],
    )
    config = uvicorn.Config(app, ws="wsproto", lifespan="off", log_level="critical", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],), name="GraphQL server")
        thread.start()
        try:
            yield f"ws://127.0.0.1:{listener.getsockname()[1]}/"
        finally:
            server.should_exit = True
            thread.join(PATIENCE)
    assert not thread.is_alive(), "uvicorn has not ended"
