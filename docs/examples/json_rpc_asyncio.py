import asyncio

from json_rpc import JsonRpcClient

from polysocket.asyncio import connect


async def main() -> None:
    async with connect("wss://rpc.example.com/") as ws:
        rpc = JsonRpcClient(ws)
        print(await asyncio.gather(*(rpc.call("subtract", [number, 1]) for number in (2, 3, 4))))
        print(await rpc.batch(("subtract", [3, 1]), ("subtract", [3, 2])))


asyncio.run(main())
