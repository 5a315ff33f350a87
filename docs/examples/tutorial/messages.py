from polysocket.blocking import connect
from polysocket.testing import EchoServer

with EchoServer() as server, connect(server.url) as ws:
    ws.send_text("apples")
    ws.send_binary(b"\x00\x01")
    ws.send_json({"item": "pears", "price": 3})

    for message in ws:
        if isinstance(message, bytes):
            print("binary:", message)
        else:
            print("text:", message)
        if "pears" in str(message):
            break
