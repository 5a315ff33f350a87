import asyncio

from polysocket import Gap
from polysocket.asyncio import reconnect


async def main() -> None:
    async with reconnect("wss://feed.example.com/") as connections:
        async for message in connections.messages():
            if isinstance(message, Gap):
                print(f"open again after {message.close_info.code}: fetch what was missed")
            else:
                print(message)
                if message == "good night":
                    break


asyncio.run(main())
