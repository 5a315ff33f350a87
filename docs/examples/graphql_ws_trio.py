import trio
from graphql_ws import SUBPROTOCOL, GraphQLClient

from polysocket import Trio, basic_request
from polysocket.trio import connect

COUNT = "subscription ($from: Int!) { count(start: $from, upTo: 103) }"


async def show(client: GraphQLClient[Trio], start: int) -> None:
    async with client.subscribe(COUNT, {"from": start}) as results:
        async for result in results:
            print(result["data"]["count"])


async def main() -> None:
    request = basic_request.get("wss://graphql.example.com/").subprotocol(SUBPROTOCOL)
    async with connect(request) as ws:
        client = GraphQLClient(ws)
        print(await client.execute("{ double(number: 4) }"))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(show, client, 100)
            nursery.start_soon(show, client, 101)


trio.run(main)
