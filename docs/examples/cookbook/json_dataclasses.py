import asyncio
from dataclasses import asdict, dataclass

from polysocket.asyncio import connect


@dataclass
class Order:
    item: str
    amount: int


async def main() -> None:
    async with connect("wss://echo.example.com/") as ws:
        await ws.send_json(asdict(Order("pears", 3)))
        print(Order(**await ws.receive_json(timeout=10)))


asyncio.run(main())
