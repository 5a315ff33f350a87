from polysocket import ReceiveTimeout
from polysocket.blocking import connect
from polysocket.testing import EchoServer

with EchoServer() as server, connect(server.url, open_timeout=5) as ws:
    try:
        print(ws.receive_text(timeout=0.5))
    except ReceiveTimeout as error:
        print(error)
    ws.send_text("Hello again!")
    print(ws.receive_text(timeout=5))
