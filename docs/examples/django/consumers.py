import asyncio

from channels.generic.websocket import AsyncWebsocketConsumer

from polysocket import Asyncio, OpeningFailed, WebSocket, WebSocketClosed
from polysocket.asyncio import connect


class ChatConsumer(AsyncWebsocketConsumer):
    upstream: WebSocket[Asyncio] | None = None

    async def connect(self) -> None:
        try:
            self.upstream = await connect("wss://chat.example.com/", open_timeout=5)
        except OpeningFailed:
            await self.close()  # Refused with 403, because accept() was not called.
            return
        await self.accept()
        self.relaying = asyncio.create_task(self.relay(self.upstream))

    async def relay(self, upstream: WebSocket[Asyncio]) -> None:
        code = 1000
        try:
            async for message in upstream:
                if isinstance(message, bytes):
                    await self.send(bytes_data=message)
                else:
                    await self.send(text_data=message)
        except WebSocketClosed:
            code = 4502  # bad gateway
        await self.close(code)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        assert self.upstream is not None
        try:
            if text_data is not None:
                await self.upstream.send_text(text_data)
            elif bytes_data is not None:
                await self.upstream.send_binary(bytes_data)
        except WebSocketClosed:
            pass  # relay() closes the browser's websocket.

    async def disconnect(self, code: int) -> None:
        if self.upstream is not None:
            self.relaying.cancel()
            await self.upstream.close()
