from concurrent.futures import as_completed

from polysocket.threaded import connect

opening = [connect("wss://echo.example.com/") for _ in range(3)]
websockets = [future.result() for future in opening]

for number, ws in enumerate(websockets):
    ws.send_text(f"message {number}")
answers = [ws.receive_text() for ws in websockets]
print(sorted(answer.result() for answer in as_completed(answers)))

for closing in [ws.close() for ws in websockets]:
    closing.result()
