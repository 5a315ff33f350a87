import asyncio

from polysocket import ReceiveTimeout
from polysocket.asyncio import connect


async def main() -> None:
    async with connect("wss://echo.example.com/") as ws:
        try:
            print(await ws.receive_text(timeout=0.1))
        except ReceiveTimeout:
            print("nothing yet")
        await ws.send_text("Hello!")
        print(await ws.receive_text(timeout=10))


asyncio.run(main())
