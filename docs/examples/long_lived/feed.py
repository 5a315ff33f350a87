import asyncio

from polysocket import CloseCause, Gap
from polysocket.asyncio import reconnect


async def main() -> None:
    async with reconnect("wss://feed.example.com/", ping_interval=10, ping_timeout=5) as connections:
        async for message in connections.messages():
            if not isinstance(message, Gap):
                print(message)
                if message == "good night":
                    break
            elif message.close_info.cause is CloseCause.KEEPALIVE:
                print("the peer was dead")
            else:
                print("lost:", message.close_info)


asyncio.run(main())
