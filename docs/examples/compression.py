import asyncio

from polysocket import Deflate
from polysocket.asyncio import connect

small = Deflate(server_no_context_takeover=True, client_no_context_takeover=True, memory_level=4)


async def main() -> None:
    async with connect("wss://echo.example.com/", compression=small) as ws:
        print(ws.response.extensions)


asyncio.run(main())
