import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

from polysocket import DataFrame, Frame, PipeHandler, Text
from polysocket.asyncio import AsyncioBackend


async def first_two(incoming: AsyncIterator[DataFrame]) -> AsyncGenerator[Frame, None]:
    yield Text("subscribe to news")
    count = 0
    async for frame in incoming:
        print("received", frame.payload)
        yield Text(f"thank you for {count}")
        count += 1
        if count == 2:
            return


async def main() -> None:
    async with AsyncioBackend() as backend:
        response = await backend.open_websocket("wss://feed.example.com/", PipeHandler(first_two))
        print(response.result)


asyncio.run(main())
