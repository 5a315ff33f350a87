import asyncio

from graphql_ws import SUBPROTOCOL, GraphQLClient

from polysocket import Asyncio, basic_request
from polysocket.asyncio import connect

COUNT = "subscription ($from: Int!) { count(start: $from, upTo: 103) }"


async def show(client: GraphQLClient[Asyncio], start: int) -> None:
    async with client.subscribe(COUNT, {"from": start}) as results:
        async for result in results:
            print(result["data"]["count"])


async def main() -> None:
    request = basic_request.get("wss://graphql.example.com/").subprotocol(SUBPROTOCOL)
    async with connect(request) as ws:
        client = GraphQLClient(ws)
        print(await client.execute("{ double(number: 4) }"))
        await asyncio.gather(show(client, 100), show(client, 101))


asyncio.run(main())
