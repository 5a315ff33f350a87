import logging
import sys

from polysocket.blocking import connect

logging.basicConfig(stream=sys.stdout, format="%(name)s %(message)s")
logging.getLogger("polysocket").setLevel(logging.DEBUG)

with connect("wss://echo.example.com/?key=my-key") as ws:
    ws.send_text("Hello!")
    ws.receive_text()
