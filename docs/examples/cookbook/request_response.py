import asyncio
from typing import Any

from polysocket import Asyncio, ReceiveTimeout, WebSocket
from polysocket.asyncio import connect


async def ask(ws: WebSocket[Asyncio], question: str) -> Any:
    await ws.send_json({"question": question})
    try:
        return await ws.receive_json(timeout=10)
    except ReceiveTimeout:
        await ws.close()  # A late answer must not become the answer to the next question.
        raise


async def main() -> None:
    async with connect("wss://echo.example.com/") as ws:
        for question in ("Name?", "Age?"):
            print(await ask(ws, question))


asyncio.run(main())
