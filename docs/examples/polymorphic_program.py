import asyncio

from polysocket import Async, WebSocket, polymorphic
from polysocket.asyncio import connect as connect_asyncio
from polysocket.blocking import connect


@polymorphic
async def ask(ws: WebSocket[Async], question: str) -> str:
    await ws.send_text(question)
    return await ws.receive_text()


@polymorphic
async def interview(ws: WebSocket[Async], *questions: str) -> dict[str, str]:
    return {question: await ask(ws, question) for question in questions}


with connect("wss://echo.example.com/") as ws:
    print(interview(ws, "Name?", "Age?"))


async def main() -> None:
    async with connect_asyncio("wss://echo.example.com/") as ws:
        print(await interview(ws, "Name?", "Age?"))


asyncio.run(main())
