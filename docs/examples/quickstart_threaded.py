from polysocket.threaded import connect

with connect("ws://localhost:8765/").result() as ws:
    ws.send_text("Hello!").result()
    print(ws.receive_text().result())
