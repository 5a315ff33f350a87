import json

from polysocket import Async, WebSocket, polymorphic
from polysocket.blocking import connect


@polymorphic
async def submit(ws: WebSocket[Async], /, **fields: str) -> str:
    await ws.send_text(json.dumps(fields))
    return await ws.receive_text()


with connect("wss://echo.example.com/") as ws:
    print(submit(ws, name="Ada", ws="any name may be used"))
