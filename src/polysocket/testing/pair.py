"""A client and a server websocket, joined in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from wsproto import ConnectionType

from polysocket._lifting import HasWith, lifted
from polysocket._opening.accept import received_request
from polysocket._opening.opening_handshake import session_of
from polysocket._session.session import Session
from polysocket.effects import Effect
from polysocket.errors import UpgradeRejected
from polysocket.request import Request
from polysocket.response import Response
from polysocket.testing.clock import VirtualClock, VirtualEffect
from polysocket.testing.effect_of import effect_of
from polysocket.testing.handshake import plain_request, quiet, shake_hands
from polysocket.testing.memory import Faults, faultless, memory_streams
from polysocket.websocket import WebSocket

__all__ = ["MemoryPair", "memory_pair"]

F = TypeVar("F")
F_co = TypeVar("F_co", covariant=True)


class MemoryPair(HasWith[F_co]):
    """A ``client`` and a ``server`` that are joined. Iterating over the pair returns both.

    The end of its ``with`` (``async with``) aborts both at once, without a closing handshake.
    """

    def __init__(self, effect: Effect, client: Session, server: Session) -> None:
        self.client: WebSocket[F_co] = WebSocket(client, effect)
        self.server: WebSocket[F_co] = WebSocket(server, effect)
        self._effect = effect
        self._sessions = (client, server)
        for session in self._sessions:
            session.begin()

    def __iter__(self) -> Iterator[WebSocket[F_co]]:
        yield self.client
        yield self.server

    @lifted
    async def _close_after(self, error: BaseException | None, /) -> None:  # noqa: ARG002 - the interface of HasWith
        for session in self._sessions:
            session.abort()
        for session in self._sessions:
            await session.close()  # Wait for its programs in the background.


def memory_pair(
    flavour: type[F],
    *,
    to_server: Faults = faultless,
    to_client: Faults = faultless,
    clock: VirtualClock | None = None,
    request: Request = plain_request,
    limits: Request = quiet,
    effect: Effect | None = None,
) -> MemoryPair[F]:
    """Join a client and a server in memory, after their opening handshake. Both are open at once.

    By default, neither has keepalive, so that only the frames of the test are on the wire.

    In the blocking flavour, run one side in another thread if the two wait for each other, to receive or to close.

    Args:
        flavour: The tag ``Blocking``, ``Threaded``, ``Asyncio``, ``Trio`` or, for anyio, ``Async``.
        to_server: The faults of the network from the client to the server. The opening handshake has none.
        to_client: The faults of the network from the server to the client.
        clock: A clock for the delays and all time limits; None for the flavour's own.
        request: The client's request.
        limits: The server's compression, subprotocols, sizes and time limits, as for :class:`EchoServer`.
        effect: The effect, for a flavour of your own.

    Raises:
        InvalidRequest: The request can't be sent, or the request or the limits are no Request.
        InvalidUpgrade: The client refuses the server's answer.
        UpgradeRejected: The server rejects the request.
        TypeError: Another argument is of a wrong type.
    """
    waiting = effect_of(flavour, effect)
    if clock is not None:
        waiting = VirtualEffect(waiting, clock)
    agreed = shake_hands(request, lambda asked, server: server.accept(asked.first_of(limits.subprotocols)), limits)
    if isinstance(agreed, Response):
        raise UpgradeRejected(agreed)
    client, server = memory_streams(waiting, to_server, to_client)
    asked = received_request(agreed.asked, limits, "ws" if request.url is None else request.url.scheme)
    return MemoryPair(
        waiting,
        session_of(waiting, client, ConnectionType.CLIENT, agreed.client, request),
        session_of(waiting, server, ConnectionType.SERVER, agreed.server, asked),
    )
