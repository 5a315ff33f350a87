import asyncio

from polysocket import OpeningFailed, WebSocketClosed
from polysocket.asyncio import connect

Messages = asyncio.Queue[str | bytes]

opening = asyncio.Semaphore(20)  # Spare the servers: open at most 20 at once.


async def follow(feed: str, messages: Messages) -> None:
    try:
        async with opening:
            ws = await connect(f"wss://feeds.example.com/{feed}")
        async with ws:
            async for message in ws:
                await messages.put(message)
    except (OpeningFailed, WebSocketClosed) as error:
        print(f"{feed}: {error}")  # The other feeds go on.


async def show(messages: Messages) -> None:
    while True:
        print(await messages.get())


async def main() -> None:
    messages = Messages(maxsize=1000)
    showing = asyncio.create_task(show(messages))
    async with asyncio.TaskGroup() as group:
        for feed in ("apples", "pears", "plums"):
            group.create_task(follow(feed, messages))
    showing.cancel()


asyncio.run(main())
