from polysocket import OpeningFailed, WebSocketClosed
from polysocket.blocking import connect
from polysocket.testing import EchoServer

with EchoServer() as server:
    url = server.url
    ws = connect(url)
# The end of the block has stopped the server.

try:
    with ws:
        ws.receive_text()
except WebSocketClosed as error:
    print("ended:", error)

try:
    connect(url)
except OpeningFailed as error:
    print("not opened:", error)
