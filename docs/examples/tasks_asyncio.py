import asyncio

from polysocket import Asyncio, WebSocket
from polysocket.asyncio import connect


async def count(ws: WebSocket[Asyncio], name: str) -> None:
    for number in range(3):
        await ws.send_text(f"{name} {number}")


async def main() -> None:
    async with connect("wss://echo.example.com/") as ws, asyncio.TaskGroup() as group:
        group.create_task(count(ws, "apples"))
        group.create_task(count(ws, "pears"))
        for _ in range(6):
            print(await ws.receive_text())


asyncio.run(main())
