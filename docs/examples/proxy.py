import asyncio

from polysocket.asyncio import connect


async def main() -> None:
    async with connect("wss://echo.example.com/", proxy="http://me:secret@proxy.example.com:3128") as ws:
        await ws.send_text("Hello!")
        print(await ws.receive_text())


asyncio.run(main())
