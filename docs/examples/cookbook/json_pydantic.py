import asyncio

from pydantic import BaseModel

from polysocket.asyncio import connect


class Order(BaseModel):
    item: str
    amount: int


async def main() -> None:
    async with connect("wss://echo.example.com/") as ws:
        await ws.send_text(Order(item="pears", amount=3).model_dump_json())
        print(Order.model_validate_json(await ws.receive_message(timeout=10)))


asyncio.run(main())
