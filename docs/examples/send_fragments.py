import asyncio

from polysocket import Text
from polysocket.asyncio import connect


async def main() -> None:
    async with connect("wss://echo.example.com/") as ws:
        await ws.send(Text("one message, ", final=False))
        await ws.send(Text("sent ", final=False), is_continuation=True)
        await ws.send(Text("in three frames"), is_continuation=True)
        print(await ws.receive_text())


asyncio.run(main())
