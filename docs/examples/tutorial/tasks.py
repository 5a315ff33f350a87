import asyncio

from polysocket import Asyncio, WebSocket
from polysocket.asyncio import connect
from polysocket.testing import EchoServer


async def send_orders(ws: WebSocket[Asyncio]) -> None:
    for item in ("apples", "pears", "plums"):
        await ws.send_text(item)
        await asyncio.sleep(0.1)
    await ws.close()


async def main(url: str) -> None:
    async with connect(url) as ws, asyncio.TaskGroup() as group:
        group.create_task(send_orders(ws))
        async for message in ws:
            print("received", message)
    print(ws.close_info)


with EchoServer() as server:
    asyncio.run(main(server.url))
