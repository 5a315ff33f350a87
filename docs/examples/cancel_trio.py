import trio

from polysocket.trio import connect


async def main() -> None:
    async with connect("wss://echo.example.com/") as ws:
        with trio.move_on_after(0.1) as scope:
            await ws.receive_text()
        if scope.cancelled_caught:
            await ws.send_text("nothing is lost")
        print(await ws.receive_text())


trio.run(main)
