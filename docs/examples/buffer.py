import asyncio

from polysocket import Buffer, WebSocketHandler
from polysocket.asyncio import AsyncioBackend

handler = WebSocketHandler(Buffer.bounded(100, overflow="wait"))


async def main() -> None:
    async with AsyncioBackend() as backend:
        ws = (await backend.open_websocket("wss://feed.example.com/", handler)).result
        async for message in ws:
            print(message)


asyncio.run(main())
