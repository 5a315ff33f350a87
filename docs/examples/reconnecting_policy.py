import asyncio

from polysocket import Backoff, UpgradeRejected, WebSocketClosed, is_final
from polysocket.asyncio import reconnect

policy = Backoff(initial=0.1, maximum=30, attempts=10)


def ends_the_feed(error: Exception) -> bool:
    print("error:", type(error).__name__)
    return is_final(error) or (isinstance(error, WebSocketClosed) and error.close_info.code == 1000)


async def main() -> None:
    try:
        async with reconnect("wss://feed.example.com/", policy=policy, is_final=ends_the_feed) as connections:
            async for message in connections.messages():
                print(message)
    except UpgradeRejected as error:
        print("not open again:", error)
    except WebSocketClosed as error:
        print("ended:", error.close_info.reason)


asyncio.run(main())
