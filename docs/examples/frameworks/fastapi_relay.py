import asyncio

from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from fastapi.websockets import WebSocketState

import polysocket
from polysocket.asyncio import connect

app = FastAPI()


async def send_on(browser: WebSocket, upstream: polysocket.WebSocket[polysocket.Asyncio]) -> None:
    try:
        async for text in browser.iter_text():  # ends when the browser leaves
            await upstream.send_text(text)
        await upstream.close()
    except polysocket.WebSocketClosed:
        pass  # The loop over the upstream reports it.


@app.websocket("/chat")
async def chat(browser: WebSocket) -> None:
    try:
        upstream = await connect("wss://chat.example.com/", open_timeout=5)
    except polysocket.OpeningFailed:
        await browser.close()  # Refused with 403, because accept() was not called.
        return
    async with upstream:
        await browser.accept()
        sending = asyncio.create_task(send_on(browser, upstream))
        code = 1000
        try:
            async for message in upstream:
                if isinstance(message, bytes):
                    await browser.send_bytes(message)
                else:
                    await browser.send_text(message)
        except polysocket.WebSocketClosed:
            code = 1014  # bad gateway
        except WebSocketDisconnect:
            return
        finally:
            sending.cancel()
        if browser.client_state is WebSocketState.CONNECTED:
            await browser.close(code)
