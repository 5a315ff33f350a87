from concurrent.futures import ThreadPoolExecutor

from json_rpc import JsonRpcClient, JsonRpcError

from polysocket.blocking import connect

with connect("wss://rpc.example.com/") as ws, ThreadPoolExecutor() as pool:
    rpc = JsonRpcClient(ws)
    try:
        rpc.call("divide", [42, 0])
    except JsonRpcError as error:
        print(error)
    print(list(pool.map(lambda number: rpc.call("subtract", [number, 1]), (2, 3, 4))))
