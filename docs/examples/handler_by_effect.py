import asyncio

from polysocket import Buffer, WebSocketHandler
from polysocket.asyncio import AsyncioBackend


async def read_settings() -> dict[str, int]:
    return {"buffer": 100}


async def make_handler() -> WebSocketHandler:
    settings = await read_settings()
    print("about to open")
    return WebSocketHandler(Buffer.bounded(settings["buffer"]))


async def main() -> None:
    async with AsyncioBackend() as backend:
        response = await backend.open_websocket_f("wss://echo.example.com/", make_handler)
        await response.result.send_text("Hello!")
        print(await response.result.receive_text())


asyncio.run(main())
