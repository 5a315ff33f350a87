import asyncio

from prometheus_client import CollectorRegistry, generate_latest

from polysocket import ObservedBackend, WebSocketHandler
from polysocket.asyncio import AsyncioBackend
from polysocket.observers.prometheus import PrometheusObserver

registry = CollectorRegistry()
observer = PrometheusObserver(registry)


async def main() -> None:
    async with ObservedBackend(AsyncioBackend(), observer) as backend:
        response = await backend.open_websocket("wss://echo.example.com/", WebSocketHandler())
        await response.result.send_text("Hello!")
        await response.result.receive_text()
    for line in generate_latest(registry).decode().splitlines():
        if line.startswith("polysocket_payload_bytes_total"):
            print(line)


asyncio.run(main())
