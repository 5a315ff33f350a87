import asyncio
import ssl

from polysocket.asyncio import connect

context = ssl.create_default_context(cafile="our-ca.pem")


async def main() -> None:
    async with connect("wss://echo.example.com/", ssl=context) as ws:
        await ws.send_text("Hello!")
        print(await ws.receive_text())


asyncio.run(main())
