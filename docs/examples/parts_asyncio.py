import asyncio
from collections.abc import AsyncIterator

from polysocket.asyncio import connect


async def words() -> AsyncIterator[str]:
    for word in ("one ", "message ", "in ", "parts"):
        await asyncio.sleep(0.01)  # as a model that writes an answer does
        yield word


async def main() -> None:
    async with connect("wss://echo.example.com/") as ws:
        await ws.send_fragments(words())
        async for part in ws.receive_fragments(timeout=10):
            print(part, end="")
        print()


asyncio.run(main())
