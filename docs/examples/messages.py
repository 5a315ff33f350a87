import asyncio

from polysocket.asyncio import connect


async def main() -> None:
    async with connect("wss://feed.example.com/") as ws:
        async for message in ws:
            if isinstance(message, str):
                print("text:", message)
            else:
                print("binary:", message.hex(" "))
        print(ws.close_info)


asyncio.run(main())
