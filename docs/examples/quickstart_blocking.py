from polysocket.blocking import connect

with connect("wss://echo.example.com/") as ws:
    ws.send_text("Hello!")
    print(ws.receive_text())
