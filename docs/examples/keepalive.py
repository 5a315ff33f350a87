from polysocket import CloseCause, ConnectionLost
from polysocket.blocking import connect

try:
    with connect("wss://feed.example.com/", ping_interval=10, ping_timeout=5) as ws:
        for message in ws:
            print(message)
            print(f"the latest round trip took {ws.latency} s")
except ConnectionLost as error:
    if error.close_info.cause is CloseCause.KEEPALIVE:
        print("the peer is dead:", error)
