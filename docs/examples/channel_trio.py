import trio

from polysocket.trio import WebSocketChannel, connect


async def main() -> None:
    async with WebSocketChannel(await connect("wss://echo.example.com/")) as channel:
        await channel.send("a text message")
        print(await channel.receive())


trio.run(main)
