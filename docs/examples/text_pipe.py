import asyncio

from polysocket import PipeHandler, from_text_pipe
from polysocket.asyncio import AsyncioBackend


def answer(text: str) -> str | None:
    if text.endswith("?"):
        return "yes"
    return None


async def main() -> None:
    async with AsyncioBackend() as backend:
        response = await backend.open_websocket("wss://feed.example.com/", PipeHandler(from_text_pipe(answer)))
        print(response.result)


asyncio.run(main())
