import asyncio

from polysocket import Asyncio, CloseInfo, Listener, Text, WebSocket
from polysocket.asyncio import AsyncioBackend


class Greeter(Listener[Asyncio]):
    def __init__(self) -> None:
        self.ended = asyncio.Event()

    def on_open(self, ws: WebSocket[Asyncio]) -> None:
        self.ws = ws

    async def on_text(self, frame: Text) -> None:
        print("received", frame.payload)
        await self.ws.send_text(f"thank you for {frame.payload}")

    def on_error(self, error: Exception) -> None:
        print("failed:", error)

    def on_close(self, info: CloseInfo) -> None:
        print(info)
        self.ended.set()


async def main() -> None:
    async with AsyncioBackend() as backend:
        greeter = Greeter()
        await backend.open_websocket("wss://feed.example.com/", greeter)
        await greeter.ended.wait()


asyncio.run(main())
