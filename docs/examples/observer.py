import asyncio
from collections import Counter

from polysocket import Close, Frame, Observation, ObservedBackend, Request, WebSocketHandler
from polysocket.asyncio import AsyncioBackend


class Counts(Observation):
    def __init__(self, counter: Counter[str]) -> None:
        self.counter = counter

    def received(self, frame: Frame | Close, /) -> None:
        self.counter[f"{type(frame).__name__} received"] += 1

    def sent(self, frame: Frame | Close, /) -> None:
        self.counter[f"{type(frame).__name__} sent"] += 1


class CountingObserver:
    def __init__(self) -> None:
        self.counter: Counter[str] = Counter()

    def opening(self, request: Request, /) -> Observation:
        return Counts(self.counter)


async def main() -> None:
    observer = CountingObserver()
    async with ObservedBackend(AsyncioBackend(), observer) as backend:
        response = await backend.open_websocket("wss://echo.example.com/", WebSocketHandler())
        await response.result.send_text("Hello!")
        await response.result.receive_text()
    for name, count in sorted(observer.counter.items()):
        print(name, count)


asyncio.run(main())
