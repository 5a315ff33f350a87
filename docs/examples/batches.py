import asyncio

from polysocket import SendTimeout
from polysocket.asyncio import connect


async def main() -> None:
    async with connect("wss://echo.example.com/") as ws:
        try:
            await ws.send_many(["one", "two", "three", "four", "five"], timeout=5)
        except SendTimeout as error:
            print("sent:", error.messages_sent)
        count = 0
        while count < 5:
            batch = await ws.receive_many(max=100)
            count += len(batch)
            print(*batch, sep="\n")


asyncio.run(main())
