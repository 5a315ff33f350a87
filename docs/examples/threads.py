import threading

from polysocket import Blocking, WebSocket
from polysocket.blocking import connect


def count(ws: WebSocket[Blocking]) -> None:
    for number in range(3):
        ws.send_text(f"message {number}")


with connect("wss://echo.example.com/") as ws:
    sender = threading.Thread(target=count, args=[ws])
    sender.start()
    for _ in range(3):
        print(ws.receive_text())
    sender.join()
