import anyio

from polysocket.anyio import connect


async def main() -> None:
    async with connect("ws://localhost:8765/") as ws:
        await ws.send_text("Hello!")
        print(await ws.receive_text())


anyio.run(main)
