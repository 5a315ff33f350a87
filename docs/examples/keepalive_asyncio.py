import asyncio

from polysocket import Asyncio, WebSocket
from polysocket.asyncio import connect


async def keep_alive(ws: WebSocket[Asyncio]) -> None:
    while True:
        seconds = await ws.ping(timeout=10)
        print(f"the peer is alive: {seconds:.3f} s")
        await asyncio.sleep(20)


async def main() -> None:
    async with connect("wss://feed.example.com/") as ws, asyncio.TaskGroup() as group:
        pings = group.create_task(keep_alive(ws))
        async for message in ws:
            print(message)
        pings.cancel()


asyncio.run(main())
