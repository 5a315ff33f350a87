from django.core.cache import cache
from django.http import HttpRequest, JsonResponse

from polysocket import OpeningFailed, ReceiveTimeout, WebSocketClosed, asyncio, blocking


def translate(request: HttpRequest) -> JsonResponse:
    try:
        with blocking.connect("wss://translator.example.com/", open_timeout=5) as ws:
            ws.send_text(request.GET["text"])
            return JsonResponse({"translation": ws.receive_text(timeout=5)})
    except (OpeningFailed, ReceiveTimeout, WebSocketClosed) as error:
        return JsonResponse({"error": str(error)}, status=502)


async def translate_async(request: HttpRequest) -> JsonResponse:
    try:
        async with asyncio.connect("wss://translator.example.com/", open_timeout=5) as ws:
            await ws.send_text(request.GET["text"])
            return JsonResponse({"translation": await ws.receive_text(timeout=5)})
    except (OpeningFailed, ReceiveTimeout, WebSocketClosed) as error:
        return JsonResponse({"error": str(error)}, status=502)


def price_of(request: HttpRequest, item: str) -> JsonResponse:
    return JsonResponse({"price": cache.get(f"price-{item}")})
