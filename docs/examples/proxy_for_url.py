import asyncio

from polysocket import Proxy, WebSocketHandler, WebSocketURL, system_proxy
from polysocket.asyncio import AsyncioBackend

ours = Proxy("socks5://proxy.example.com")


def choose(url: WebSocketURL) -> Proxy | None:
    return ours if url.host.endswith(".internal.example.com") else system_proxy(url)


async def main() -> None:
    async with AsyncioBackend(proxy=choose) as backend:
        response = await backend.open_websocket("wss://echo.example.com/", WebSocketHandler())
        await response.result.send_text("Hello!")
        print(await response.result.receive_text())


asyncio.run(main())
