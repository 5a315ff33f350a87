import asyncio

from polysocket import Binary, Close, Ping, Pong, Text
from polysocket.asyncio import connect


async def main() -> None:
    async with connect("wss://feed.example.com/") as ws:
        while True:
            match await ws.receive():
                case Text(text, final=False):
                    print("text", repr(text), "and more follows")
                case Text(text):
                    print("text", repr(text))
                case Binary(payload):
                    print("binary", len(payload), "bytes")
                case Ping() | Pong() as control:
                    print("control", control)
                case Close(code, reason):
                    print("close", code, reason)
                    break


asyncio.run(main())
