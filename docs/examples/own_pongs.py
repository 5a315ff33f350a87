import asyncio

from polysocket import Close, Ping, Text
from polysocket.asyncio import connect


async def main() -> None:
    async with connect("wss://feed.example.com/", auto_pong=False) as ws:
        while True:
            match await ws.receive(pong_on_ping=False):
                case Ping(payload):
                    await ws.pong(payload)
                    print("answered", payload)
                case Text(text):
                    print(text)
                case Close():
                    break
                case other:
                    print("not expected:", other)


asyncio.run(main())
