from polysocket import Async, WebSocket, polymorphic


@polymorphic
async def price_of(ws: WebSocket[Async], item: str) -> int:
    """Ask the server for the price of an item."""
    await ws.send_json({"item": item})
    answer = await ws.receive_json(timeout=5)
    return int(answer["price"])
