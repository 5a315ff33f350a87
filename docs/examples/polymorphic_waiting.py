from polysocket import Async, WebSocket, polymorphic
from polysocket.blocking import connect


async def remind(ws: WebSocket[Async], text: str, seconds: float) -> None:
    for _ in range(2):
        await ws.effect.sleep(seconds)
        await ws.send_text(text)


@polymorphic
async def wait_for_reminders(ws: WebSocket[Async]) -> list[str]:
    reminding = ws.effect.spawn(lambda: remind(ws, "Wake up!", 0.1))
    async with ws.effect.time_limit(10):
        received = [await ws.receive_text() for _ in range(2)]
    await reminding.result()
    return received


with connect("wss://echo.example.com/") as ws:
    print(wait_for_reminders(ws))
