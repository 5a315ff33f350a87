import anyio

from polysocket.anyio import connect


async def main() -> None:
    async with connect("wss://echo.example.com/") as ws:
        await ws.send_text("Hello!")
        print(await ws.receive_text())


anyio.run(main)
