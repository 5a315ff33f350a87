import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

from polysocket import Binary, DataFrame, Frame, PipeHandler
from polysocket.asyncio import AsyncioBackend


async def upload(incoming: AsyncIterator[DataFrame]) -> AsyncGenerator[Frame, None]:
    for piece in (b"one ", b"message "):
        yield Binary(piece, final=False)
    yield Binary(b"in three frames")
    async for frame in incoming:
        print(frame.payload)
        return


async def main() -> None:
    async with AsyncioBackend() as backend:
        await backend.open_websocket("wss://echo.example.com/", PipeHandler(upload))


asyncio.run(main())
