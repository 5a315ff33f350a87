import asyncio
import time

from polysocket.asyncio import connect


def fresh_token() -> dict[str, str]:
    return {"Authorization": f"Bearer token-of-{time.time():.0f}"}


async def main() -> None:
    async with connect("wss://echo.example.com/", auth=fresh_token) as ws:
        print(ws.response.status)


asyncio.run(main())
