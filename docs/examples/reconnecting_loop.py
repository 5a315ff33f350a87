import asyncio

from polysocket import Asyncio, WebSocket, WebSocketClosed
from polysocket.asyncio import reconnect


async def subscribe(ws: WebSocket[Asyncio]) -> None:
    await ws.send_text("subscribe to news")


async def main() -> None:
    async with reconnect("wss://feed.example.com/", on_open=subscribe) as connections:
        async for ws in connections:
            try:
                while (message := await ws.receive_text()) != "good night":
                    print(message)
                break
            except WebSocketClosed as error:
                print("lost:", error.close_info.code)


asyncio.run(main())
