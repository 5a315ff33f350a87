from typing import Any

from polysocket import Blocking, WebSocket
from polysocket.effects import ByteStream, run
from polysocket.effects.blocking import BlockingEffect
from polysocket.websocket import open_websocket


class TracingStream:
    """Tells of the bytes that another stream reads and writes."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self.drain = stream.drain
        self.close = stream.close
        self.abort = stream.abort

    @property
    def pending(self) -> int:
        return self._stream.pending

    async def read(self) -> bytes:
        data = await self._stream.read()
        print("<", data)
        return data

    def write(self, data: bytes) -> None:
        print(">", data)
        self._stream.write(data)


class TracingEffect(BlockingEffect):
    async def connect_tcp(self, host: str, port: int, /) -> Any:
        return TracingStream(await super().connect_tcp(host, port))


def connect(url: str) -> WebSocket[Blocking]:
    return run(open_websocket(WebSocket[Blocking], TracingEffect(), url, {"compression": None}))


with connect("ws://echo.example.com/") as ws:
    ws.send_text("Hello!")
    print(ws.receive_text())
