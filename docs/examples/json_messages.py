import asyncio

from polysocket import InvalidJSON
from polysocket.asyncio import connect


async def main() -> None:
    async with connect("wss://echo.example.com/") as ws:
        await ws.send_json({"type": "subscribe", "channels": ["news", "weather"]})
        answer = await ws.receive_json(timeout=10)
        print(answer["channels"])
        await ws.send_text("Hello!")
        try:
            await ws.receive_json(timeout=10)
        except InvalidJSON as error:
            print("no JSON:", error.message)


asyncio.run(main())
