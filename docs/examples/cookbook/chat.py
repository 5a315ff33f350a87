import sys
import threading

from polysocket import Blocking, WebSocket, WebSocketClosed
from polysocket.blocking import connect


def show(ws: WebSocket[Blocking]) -> None:
    try:
        for message in ws:
            print(message)
    except WebSocketClosed as error:
        print("ended:", error)


with connect(sys.argv[1]) as ws:
    showing = threading.Thread(target=show, args=[ws])
    showing.start()
    for line in sys.stdin:
        ws.send_text(line.rstrip("\n"))
showing.join()
