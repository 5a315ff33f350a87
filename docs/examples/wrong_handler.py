from polysocket import Blocking, InvalidHandler, Listener, Text
from polysocket.blocking import BlockingBackend


class Printer(Listener[Blocking]):
    async def on_text(self, frame: Text) -> None:
        print(frame.payload)


with BlockingBackend() as backend:
    try:
        backend.open_websocket("wss://feed.example.com/", Printer())
    except InvalidHandler as error:
        print(error)
