import anyio

from polysocket.anyio import ObjectStream, connect


async def main() -> None:
    async with ObjectStream(await connect("wss://echo.example.com/")) as stream:
        await stream.send("a text message")
        await stream.send(b"a binary message")
        await stream.send_eof()
        async for message in stream:
            print(message)


anyio.run(main)
