from json_rpc import JsonRpcClient

from polysocket.threaded import connect

with connect("wss://rpc.example.com/").result() as ws:
    rpc = JsonRpcClient(ws)
    differences = [rpc.call("subtract", [number, 1]) for number in (2, 3, 4)]
    print("meanwhile")
    print([difference.result() for difference in differences])
