import asyncio

from polysocket import ReceiveTimeout
from polysocket.asyncio import connect


async def main() -> None:
    async with connect("wss://echo.example.com/") as ws:
        await ws.send_text("the only news")
        try:
            async for message in ws.messages(timeout=0.5):
                print(message)
        except ReceiveTimeout:
            print("no news for half a second")


asyncio.run(main())
