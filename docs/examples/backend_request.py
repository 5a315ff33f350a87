import asyncio

from polysocket import WebSocketHandler, basic_request
from polysocket.asyncio import AsyncioBackend

ours = (
    basic_request.header("X-Client", "weather station 7")
    .bearer_auth("my-token")
    .timeouts(open=5, close=2)
    .limit_message_size(64 * 1024)
)


async def main() -> None:
    async with AsyncioBackend(request=ours) as backend:
        plain = await backend.open_websocket("wss://echo.example.com/", WebSocketHandler())
        chat = backend.request.subprotocol("chat.v2").get("wss://echo.example.com/")
        special = await backend.open_websocket(chat, WebSocketHandler())
        print(plain.subprotocol, special.subprotocol)


asyncio.run(main())
