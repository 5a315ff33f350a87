import asyncio

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from polysocket import ObservedBackend, WebSocketHandler
from polysocket.asyncio import AsyncioBackend
from polysocket.observers.opentelemetry import OpenTelemetryObserver

exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))


async def main() -> None:
    observer = OpenTelemetryObserver(provider)
    async with ObservedBackend(AsyncioBackend(), observer) as backend:
        await backend.open_websocket("wss://echo.example.com/", WebSocketHandler())
    for span in exporter.get_finished_spans():
        print(span.name, dict(span.attributes or {})["polysocket.close.code"])


asyncio.run(main())
