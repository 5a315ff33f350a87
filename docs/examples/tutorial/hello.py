from polysocket.blocking import connect
from polysocket.testing import EchoServer

with EchoServer() as server, connect(server.url) as ws:
    ws.send_text("Hello!")
    print(ws.receive_text())
