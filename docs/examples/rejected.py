import asyncio

from polysocket import UpgradeRejected
from polysocket.asyncio import connect


async def main() -> None:
    try:
        async with connect("wss://private.example.com/") as ws:
            print(await ws.receive_text())
    except UpgradeRejected as error:
        print(error.response.status_line)
        print(error.response.headers["WWW-Authenticate"])
        print(error.response.body.decode())


asyncio.run(main())
