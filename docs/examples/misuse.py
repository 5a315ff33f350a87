from polysocket import Async, Asyncio, Blocking, WebSocket, polymorphic
from polysocket.asyncio import connect


@polymorphic
async def ask(ws: WebSocket[Async], question: str) -> str:
    await ws.send_text(question)
    return await ws.receive_text()


async def misuse(plain: WebSocket[Blocking], ws: WebSocket[Asyncio]) -> None:
    # A plain value can't be awaited.
    await plain.receive_text()  # type: ignore[misc]

    # A coroutine does nothing until it is awaited, and has no .upper().
    ws.send_text("Hello!")  # type: ignore[unused-coroutine]
    print(ws.receive_text().upper())  # type: ignore[attr-defined]

    # asyncio and trio use "async for" and "async with".
    for message in ws:  # type: ignore[misc]
        print(message)
    with connect("wss://echo.example.com/") as other:  # type: ignore[attr-defined]
        print(other)

    # Signatures are checked, also those of your own programs.
    await ws.receive_text(timout=5)  # type: ignore[call-arg]
    await ask(ws, 42)  # type: ignore[call-overload]
