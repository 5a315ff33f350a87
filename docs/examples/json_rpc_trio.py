import trio
from json_rpc import JsonRpcClient

from polysocket.trio import connect


async def main() -> None:
    async with connect("wss://rpc.example.com/") as ws:
        rpc = JsonRpcClient(ws)
        first = await rpc.begin("subtract", [42, 23])
        second = await rpc.begin("subtract", [23, 42])
        print(await rpc.result(second), await rpc.result(first))


trio.run(main)
