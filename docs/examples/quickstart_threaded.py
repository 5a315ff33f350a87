from polysocket.threaded import connect

with connect("wss://echo.example.com/").result() as ws:
    ws.send_text("Hello!").result()
    print(ws.receive_text().result())
