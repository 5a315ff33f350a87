import asyncio

from polysocket import Gap
from polysocket.asyncio import reconnect


async def main() -> None:
    async with reconnect("wss://feed.example.com/") as connections:
        async for message in connections.messages():
            if isinstance(message, Gap):
                print(f"lost for {message.seconds:.0f} seconds")
            else:
                print(message)


asyncio.run(main())
