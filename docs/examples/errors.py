import asyncio

from polysocket import OpeningFailed, WebSocketClosed
from polysocket.asyncio import connect


async def main() -> None:
    try:
        async with connect("wss://feed.example.com/") as ws:
            async for message in ws:
                print(message)
    except OpeningFailed as error:
        print("could not open:", error)
    except WebSocketClosed as error:
        print("ended:", error)


asyncio.run(main())
