from graphql_ws import SUBPROTOCOL, GraphQLClient

from polysocket import basic_request
from polysocket.threaded import connect

COUNT = "subscription ($from: Int!) { count(start: $from, upTo: 103) }"

request = basic_request.get("wss://graphql.example.com/").subprotocol(SUBPROTOCOL)
with connect(request).result() as ws:
    client = GraphQLClient(ws)
    print(client.execute("{ double(number: 4) }").result())
    with client.subscribe(COUNT, {"from": 100}) as first, client.subscribe(COUNT, {"from": 101}) as second:
        for results in (first, second):
            for result in results:
                print(result["data"]["count"])
