from __future__ import annotations

from typing import TypeVar

from polysocket import Async, PolymorphicClient, WebSocket, polymorphic
from polysocket.blocking import connect

F = TypeVar("F")


class Chat(PolymorphicClient[F]):
    """A client that numbers its messages."""

    def __init__(self, websocket: WebSocket[F], name: str) -> None:
        super().__init__(websocket)
        self.name = name
        self.said = 0

    @polymorphic
    async def say(self: Chat[Async], text: str) -> str:
        """Say something, and return the answer."""
        self.said += 1
        await self.websocket.send_text(f"{self.name} {self.said}: {text}")
        return await self.websocket.receive_text()


with connect("wss://echo.example.com/") as ws:
    chat = Chat(ws, "Ada")
    print(chat.say("Hello!"), chat.say("Anybody here?"))
