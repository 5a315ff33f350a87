from concurrent.futures import Future, ThreadPoolExecutor

from polysocket import Buffer, WebSocketHandler
from polysocket.threaded import ThreadedBackend


def read_settings() -> WebSocketHandler:
    return WebSocketHandler(Buffer.bounded(100))


with ThreadPoolExecutor() as pool, ThreadedBackend() as backend:

    def make_handler() -> Future[WebSocketHandler]:
        return pool.submit(read_settings)

    ws = backend.open_websocket_f("wss://echo.example.com/", make_handler).result().result
    ws.send_text("Hello!")
    print(ws.receive_text().result())
