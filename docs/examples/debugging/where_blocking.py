import faulthandler
import sys

from polysocket.blocking import connect

faulthandler.dump_traceback_later(float(sys.argv[2]))  # seconds

with connect(sys.argv[1]) as ws:
    print(ws.receive_text())
