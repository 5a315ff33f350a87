import asyncio

from polysocket import WebSocketHandler
from polysocket.asyncio import AsyncioBackend


async def main() -> None:
    async with AsyncioBackend() as backend:
        response = await backend.open_websocket("wss://echo.example.com/", WebSocketHandler())
        print(response.status_line)
        ws = response.result
        await ws.send_text("Hello!")
        print(await ws.receive_text())


asyncio.run(main())
