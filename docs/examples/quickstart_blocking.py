from polysocket.blocking import connect

with connect("ws://localhost:8765/") as ws:
    ws.send_text("Hello!")
    print(ws.receive_text())
