from polysocket import Buffer
from polysocket.blocking import connect

with connect("wss://feed.example.com/", buffer=Buffer.bounded(100, overflow="wait")) as ws:
    for message in ws:
        print(message)
