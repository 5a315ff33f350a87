import trio

from polysocket import Trio, WebSocket
from polysocket.trio import connect


async def count(ws: WebSocket[Trio], name: str) -> None:
    for number in range(3):
        await ws.send_text(f"{name} {number}")


async def main() -> None:
    async with connect("wss://echo.example.com/") as ws, trio.open_nursery() as nursery:
        nursery.start_soon(count, ws, "apples")
        nursery.start_soon(count, ws, "pears")
        for _ in range(6):
            print(await ws.receive_text())


trio.run(main)
