"""The opening handshake in memory: the real client's half and the real server's, with nothing between them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from polysocket._core.client_handshake import ClientHandshake
from polysocket._core.handshake import Upgraded
from polysocket._core.server_handshake import ServerHandshake, UpgradeRequest
from polysocket.errors import InvalidUpgrade
from polysocket.request import Request, basic_request
from polysocket.response import Response

__all__ = ["Agreed", "Answer", "plain", "plain_request", "shake_hands"]

plain: Request = basic_request.compress(None)
"""What both halves agree to unless a test is about it: what is on the wire is as long as it looks."""

plain_request: Request = plain.get("ws://memory/")

Answer = Callable[[UpgradeRequest, ServerHandshake], Upgraded | None]
"""What a server does with a request: it accepts by the handshake, or rejects and gives None."""


class Agreed(NamedTuple):
    """What a successful handshake gives to each side."""

    client: Upgraded
    server: Upgraded


def shake_hands(request: Request, answer: Answer, limits: Request) -> Agreed | Response:
    """Give what client and server agree on, or the server's rejection, as ``answer`` decides.

    ``limits`` has the server's compression and largest message. Raises as the client's half does, and what ``answer``
    raises.
    """
    client, server = ClientHandshake(request), ServerHandshake(limits.compression, limits.max_message_size)
    accepted = None
    try:
        received = server.receive(client.data_to_send())
    except InvalidUpgrade:
        pass  # The server has refused by itself, and its answer tells the client why.
    else:
        assert received is not None, "a request comes whole"
        accepted = answer(received, server)
    answered = client.receive(server.data_to_send())
    if isinstance(answered, Response):
        return answered
    assert answered is not None, "an answer comes whole"
    assert accepted is not None, "who answers 101 accepts"
    return Agreed(answered, accepted)
