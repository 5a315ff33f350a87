import socket

from polysocket.blocking import connect

sock = socket.create_connection(("echo.example.com", 443), timeout=5)
sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

with connect("wss://echo.example.com/", sock=sock) as ws:
    ws.send_text("Hello!")
    print(ws.receive_text())
