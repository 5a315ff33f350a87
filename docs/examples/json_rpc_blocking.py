from concurrent.futures import ThreadPoolExecutor

from json_rpc import JsonRpcClient, JsonRpcError

from polysocket.blocking import connect

with connect("wss://rpc.example.com/") as ws, ThreadPoolExecutor() as pool:
    rpc = JsonRpcClient(ws)
    try:
        rpc.call("divide", [42, 0])
    except JsonRpcError as error:
        print(error)
    calls = [pool.submit(rpc.call, "subtract", [number, 1]) for number in (2, 3, 4)]
    print([call.result() for call in calls])
