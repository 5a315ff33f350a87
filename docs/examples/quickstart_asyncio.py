import asyncio

from polysocket.asyncio import connect


async def main() -> None:
    async with connect("wss://echo.example.com/") as ws:
        await ws.send_text("Hello!")
        print(await ws.receive_text())


asyncio.run(main())
