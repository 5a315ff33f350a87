import asyncio

import pytest

from polysocket import Asyncio, Backend, Request, Text, UpgradeRejected, WebSocketHandler, basic_request
from polysocket.testing import BackendStub, WebSocketStub


async def first_news(backend: Backend[Asyncio], request: Request) -> str:
    response = await backend.open_websocket(request, WebSocketHandler())
    return await response.result.receive_text()


def has_token(request: Request) -> bool:
    return "Authorization" in request.headers


news = WebSocketStub.with_initial_incoming([Text("apples are ripe")])
stub = (
    BackendStub.asyncio()
    .when_request_matches(has_token)
    .then_respond_web_socket(news, subprotocol="news.v1")
    .when_any_request()
    .then_reject(401, {"WWW-Authenticate": "Bearer"})
)
request = basic_request.subprotocol("news.v1").get("wss://news.example.com/")


def test_the_news_require_a_token() -> None:
    assert asyncio.run(first_news(stub, request.bearer_auth("my-token"))) == "apples are ripe"
    with pytest.raises(UpgradeRejected, match="401"):
        asyncio.run(first_news(stub, request))
