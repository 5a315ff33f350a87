"""The opening handshake in memory: the client's half and the server's half, joined directly."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from polysocket._core.client_handshake import ClientHandshake
from polysocket._core.handshake import Upgraded
from polysocket._core.server_handshake import ServerHandshake, UpgradeRequest
from polysocket.errors import InvalidRequest, InvalidUpgrade
from polysocket.observers.logging import ConnectionLog
from polysocket.request import Request, authenticated, basic_request, check_request
from polysocket.response import Response

__all__ = ["Agreed", "Answer", "plain", "plain_request", "quiet", "shake_hands"]

quiet: Request = basic_request.keepalive(interval=None)
"""The settings of a test that is not about keepalive: only the frames of the test are on the wire."""

plain: Request = quiet.compress(None)
"""The settings of a test that is not about compression: each frame has a predictable size on the wire."""

plain_request: Request = plain.get("ws://memory/")

Answer = Callable[[UpgradeRequest, ServerHandshake], Upgraded | None]
"""A server's answer to a request: accept via the handshake, or reject and return None."""


class Agreed(NamedTuple):
    """The result of a successful handshake on each side, and the request as the server has received it."""

    client: Upgraded
    server: Upgraded
    asked: UpgradeRequest


def shake_hands(
    request: Request, answer: Answer, limits: Request, log: ConnectionLog | None = None
) -> Agreed | Response:
    """Return what client and server agree on, or the response with which the server rejects the request.

    Args:
        request: The client's request.
        answer: The server's answer to a valid request; its errors pass.
        limits: The server's compression and largest message.
        log: The log of the client's side; None if it is off.

    Raises:
        InvalidRequest: The request can't be sent.
        InvalidUpgrade: The client refuses the server's answer.
    """
    check_request("request", request)
    check_request("limits", limits)
    if request.url is None:
        raise InvalidRequest("the request has no URL: add it with .get('ws://…')")
    client, server = (
        ClientHandshake(authenticated(request)),
        ServerHandshake(limits.compression, limits.max_message_size),
    )
    received = accepted = None
    if log is not None:
        log.sent_request(request, client.headers)
    try:
        received = server.receive(client.data_to_send())
    except InvalidUpgrade:
        pass  # The server has rejected the request itself. The response tells the client why.
    else:
        assert received is not None, "a request arrives in one piece"
        accepted = answer(received, server)
    answered = client.receive(server.data_to_send())
    if log is not None and answered is not None:
        log.received_response(answered.response if isinstance(answered, Upgraded) else answered)
    if isinstance(answered, Response):
        return answered
    assert answered is not None, "an answer arrives in one piece"
    assert received is not None, "a request that was refused is not answered with 101"
    assert accepted is not None, "the server has accepted if the client received a 101"
    return Agreed(answered, accepted, received)
