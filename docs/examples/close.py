import asyncio

from polysocket.asyncio import connect


async def main() -> None:
    async with connect("wss://echo.example.com/") as ws:
        await ws.close(1000, "done")
        print(ws.close_info)


asyncio.run(main())
