import asyncio

from polysocket import MessageTooBig
from polysocket.asyncio import connect


async def main() -> None:
    async with connect("wss://echo.example.com/", max_message_size=1000) as ws:
        await ws.send_text("x" * 1001)
        try:
            await ws.receive_text()
        except MessageTooBig as error:
            print(error)


asyncio.run(main())
