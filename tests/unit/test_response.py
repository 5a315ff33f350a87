"""Responses: what they show of the handshake."""

from __future__ import annotations

from polysocket.headers import Headers
from polysocket.response import Response, WebSocketResponse


def test_a_response_has_a_status_line() -> None:
    assert Response(404, Headers(), "Not Found").status_line == "404 Not Found"
    assert Response(599, Headers()).status_line == "599"


def test_the_response_of_an_opened_websocket_has_the_result_of_the_handler() -> None:
    response = WebSocketResponse(101, Headers(), "Switching Protocols", "p", ("x",), result=[1])
    assert isinstance(response, Response)
    assert response.result == [1]
    assert response.subprotocol == "p"
    assert response.extensions == ("x",)
