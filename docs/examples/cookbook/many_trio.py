import trio

from polysocket import OpeningFailed, WebSocketClosed
from polysocket.trio import connect

Messages = trio.MemorySendChannel[str | bytes]

opening = trio.CapacityLimiter(20)  # Spare the servers: open at most 20 at once.


async def follow(feed: str, messages: Messages) -> None:
    try:
        async with opening:
            ws = await connect(f"wss://feeds.example.com/{feed}")
        async with ws, messages:
            async for message in ws:
                await messages.send(message)
    except (OpeningFailed, WebSocketClosed) as error:
        print(f"{feed}: {error}")  # The other feeds go on.


async def main() -> None:
    messages, received = trio.open_memory_channel[str | bytes](1000)
    async with trio.open_nursery() as nursery:
        for feed in ("apples", "pears", "plums"):
            nursery.start_soon(follow, feed, messages.clone())
        await messages.aclose()
        async for message in received:
            print(message)


trio.run(main)
