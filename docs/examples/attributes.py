import asyncio

from polysocket.asyncio import connect


async def main() -> None:
    async with connect("wss://echo.example.com/") as ws:
        print(ws)
        print(ws.url, ws.request.headers, ws.extensions)
        print(ws.remote_address, ws.local_address)
        print(ws.tls)


asyncio.run(main())
