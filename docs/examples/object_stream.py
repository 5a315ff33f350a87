import anyio

from polysocket.anyio import ObjectStream, connect


async def main() -> None:
    async with ObjectStream(await connect("wss://echo.example.com/")) as stream:
        await stream.send("a text message")
        await stream.send(b"a binary message")
        print(await stream.receive())
        print(await stream.receive())


anyio.run(main)
