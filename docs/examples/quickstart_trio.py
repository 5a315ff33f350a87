import trio

from polysocket.trio import connect


async def main() -> None:
    async with connect("ws://localhost:8765/") as ws:
        await ws.send_text("Hello!")
        print(await ws.receive_text())


trio.run(main)
