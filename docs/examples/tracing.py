from polysocket.blocking import WebSocket
from polysocket.effects import ByteStream, DelegatingEffect, DelegatingStream, run
from polysocket.effects.blocking import BlockingEffect
from polysocket.websocket import open_websocket


class TracingStream(DelegatingStream):
    async def read(self) -> bytes:
        data = await super().read()
        print("<", data)
        return data

    def write(self, data: bytes) -> None:
        print(">", data)
        super().write(data)


class TracingEffect(DelegatingEffect):
    async def connect_tcp(self, host: str, port: int, local_address: tuple[str, int] | None = None, /) -> ByteStream:
        return TracingStream(await super().connect_tcp(host, port, local_address))


def connect(url: str) -> WebSocket:
    return run(open_websocket(WebSocket, TracingEffect(BlockingEffect()), url, {"compression": None}))


with connect("ws://echo.example.com/") as ws:
    ws.send_text("Hello!")
    print(ws.receive_text())
