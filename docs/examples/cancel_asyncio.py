import asyncio

from polysocket.asyncio import connect


async def main() -> None:
    async with connect("wss://echo.example.com/") as ws:
        try:
            async with asyncio.timeout(0.1):
                await ws.receive_text()
        except TimeoutError:
            await ws.send_text("nothing is lost")
        print(await ws.receive_text())


asyncio.run(main())
