from json_rpc import JsonRpcClient, JsonRpcError

from polysocket.blocking import connect

with connect("wss://rpc.example.com/") as ws:
    rpc = JsonRpcClient(ws)
    print(rpc.call("subtract", [42, 23]))
    try:
        rpc.call("divide", [42, 0])
    except JsonRpcError as error:
        print(error)
