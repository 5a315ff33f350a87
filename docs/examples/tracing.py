from typing import Any

from polysocket import Blocking, WebSocket
from polysocket.blocking import BlockingEffect
from polysocket.effect import Link, run
from polysocket.opening import open_websocket


class TracingLink:
    """Tells of the bytes that another link reads and writes."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self.drain = link.drain
        self.close = link.close
        self.abort = link.abort

    @property
    def pending(self) -> int:
        return self._link.pending

    async def read(self) -> bytes:
        data = await self._link.read()
        print("<", data)
        return data

    def write(self, data: bytes) -> None:
        print(">", data)
        self._link.write(data)


class TracingEffect(BlockingEffect):
    async def connect_tcp(self, host: str, port: int, /) -> Any:
        return TracingLink(await super().connect_tcp(host, port))


def connect(url: str) -> WebSocket[Blocking]:
    return run(open_websocket(TracingEffect(), url, {"compression": None}))


with connect("ws://echo.example.com/") as ws:
    ws.send_text("Hello!")
    print(ws.receive_text())
