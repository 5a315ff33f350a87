import asyncio

from shop import price_of

from polysocket import blocking
from polysocket.asyncio import connect

with blocking.connect("wss://shop.example.com/") as ws:
    print(price_of(ws, "apples"))


async def main() -> None:
    async with connect("wss://shop.example.com/") as ws:
        print(await price_of(ws, "pears"))


asyncio.run(main())
