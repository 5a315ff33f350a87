import trio
from json_rpc import JsonRpcClient

from polysocket.trio import connect


async def main() -> None:
    async with connect("wss://rpc.example.com/") as ws:
        rpc = JsonRpcClient(ws)
        differences: dict[int, int] = {}

        async def subtract(number: int) -> None:
            differences[number] = await rpc.call("subtract", [number, 1])

        async with trio.open_nursery() as nursery:
            for number in (2, 3, 4):
                nursery.start_soon(subtract, number)
        print(sorted(differences.items()))


trio.run(main)
