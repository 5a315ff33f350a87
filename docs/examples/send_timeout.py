import asyncio

from polysocket import SendTimeout
from polysocket.asyncio import connect


async def main() -> None:
    async with connect("wss://echo.example.com/") as ws:
        try:
            await ws.send_text("Hello!", timeout=5)
        except SendTimeout as error:
            print("the rest is sent later" if error.is_pending else "send it again")
        print(await ws.receive_text(timeout=10))


asyncio.run(main())
