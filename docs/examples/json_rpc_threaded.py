from json_rpc import JsonRpcClient

from polysocket.threaded import connect

with connect("wss://rpc.example.com/").result() as ws:
    rpc = JsonRpcClient(ws)
    difference = rpc.call("subtract", [42, 23])
    print("meanwhile")
    print(difference.result())
