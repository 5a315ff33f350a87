import asyncio

from polysocket import Close
from polysocket.asyncio import connect


async def main() -> None:
    async with connect("wss://feed.example.com/") as ws:
        while True:
            match await ws.either_close(ws.receive_text):
                case str(text):
                    print(text)
                case Close(code, reason):
                    print("closed:", code, reason)
                    break


asyncio.run(main())
