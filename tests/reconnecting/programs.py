"""Programs over the public ``reconnect`` of each flavour, and a server that restarts on its port."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
from websockets.sync.server import Server, ServerConnection, serve

from polysocket import Backoff

SOON = Backoff(initial=0.01)
PATIENCE = 20  # seconds to wait before a test fails


class Restarting:
    """A server of the websockets library that greets each client, counts them, and can be restarted on its port."""

    def __init__(self) -> None:
        self.clients = 0
        self._port = 0
        self._server: Server | None = None
        self._thread: threading.Thread | None = None
        self._restarting: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self._port}/"

    def start(self) -> None:
        self._server = serve(self._greet, "127.0.0.1", self._port)
        self._port = self._server.socket.getsockname()[1]
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def stop(self) -> None:
        """Close each websocket with 1001, and listen no more."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._server = None

    def restart(self) -> None:
        """Stop and start in another thread: stopping waits for each client to answer the Close."""

        def restart() -> None:
            self.stop()
            self.start()

        self._restarting = threading.Thread(target=restart)
        self._restarting.start()

    def wait_until_restarted(self) -> None:
        """Wait for the end of a restart, if there was one."""
        if self._restarting is not None:
            self._restarting.join()

    def _greet(self, ws: ServerConnection) -> None:
        self.clients += 1
        ws.send(f"hello {self.clients}")
        for message in ws:
            ws.send(message)


@pytest.fixture
def server() -> Iterator[Restarting]:
    """A server that can be restarted."""
    restarting = Restarting()
    restarting.start()
    yield restarting
    restarting.wait_until_restarted()
    restarting.stop()


def run_asyncio(program: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(PATIENCE):
            await program()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(bounded(), debug=True)


def run_trio(program: Callable[[], Coroutine[Any, Any, None]]) -> None:
    import trio

    async def bounded() -> None:
        with trio.fail_after(PATIENCE):
            await program()

    trio.run(bounded)


RUNNERS: dict[str, tuple[str, Callable[[Callable[[], Coroutine[Any, Any, None]]], None]]] = {
    "asyncio": ("asyncio", run_asyncio),
    "trio": ("trio", run_trio),
    "anyio on asyncio": ("anyio", run_asyncio),
    "anyio on trio": ("anyio", run_trio),
}
