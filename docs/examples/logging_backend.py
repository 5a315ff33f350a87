import asyncio
import logging
import sys

from polysocket import LoggingBackend, WebSocketHandler
from polysocket.asyncio import AsyncioBackend

logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(levelname)s %(message)s")
logging.getLogger("polysocket").setLevel(logging.DEBUG)


async def main() -> None:
    async with LoggingBackend(AsyncioBackend()) as backend:
        response = await backend.open_websocket("wss://echo.example.com/?key=my-key", WebSocketHandler())
        await response.result.send_text("Hello!")
        await response.result.receive_text()


asyncio.run(main())
