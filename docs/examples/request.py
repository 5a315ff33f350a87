import asyncio

from polysocket import basic_request
from polysocket.asyncio import connect

request = (
    basic_request.header("X-Client", "weather station 7")
    .bearer_auth("my-token")
    .cookie("session", "a1b2c3")
    .subprotocol("chat.v2", "chat.v1")
    .get("wss://echo.example.com/")
)


async def main() -> None:
    async with connect(request) as ws:
        print(ws.response.status_line)
        print(ws.subprotocol)


asyncio.run(main())
