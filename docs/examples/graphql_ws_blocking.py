from threading import Thread

from graphql_ws import SUBPROTOCOL, GraphQLClient

from polysocket import Blocking, basic_request
from polysocket.blocking import connect

COUNT = "subscription ($from: Int!) { count(start: $from, upTo: 103) }"


def show(client: GraphQLClient[Blocking], start: int) -> None:
    with client.subscribe(COUNT, {"from": start}) as results:
        for result in results:
            print(result["data"]["count"])


request = basic_request.get("wss://graphql.example.com/").subprotocol(SUBPROTOCOL)
with connect(request) as ws:
    client = GraphQLClient(ws)
    print(client.execute("{ double(number: 4) }"))
    threads = [Thread(target=show, args=(client, start)) for start in (100, 101)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
