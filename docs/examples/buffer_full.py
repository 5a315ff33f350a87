import asyncio

from polysocket import Buffer, BufferFull, WebSocketHandler
from polysocket.asyncio import AsyncioBackend


async def main() -> None:
    async with AsyncioBackend() as backend:
        handler = WebSocketHandler(Buffer.bounded(3))
        ws = (await backend.open_websocket("wss://feed.example.com/", handler)).result
        try:
            while True:
                await ws.receive_text()
        except BufferFull as error:
            print(error)


asyncio.run(main())
