"""Accept a websocket on the server's side of a byte stream (RFC 6455 §4.2)."""

from __future__ import annotations

from typing import Any

from wsproto import ConnectionType

from polysocket._core.client_handshake import Upgraded
from polysocket._core.server_handshake import ServerHandshake
from polysocket._opening.opening_handshake import session_of
from polysocket.effects import ByteStream, Effect
from polysocket.errors import (
    ConnectFailed,
    InvalidUpgrade,
    OpenTimeout,
)
from polysocket.request import Request, basic_request
from polysocket.websocket import WebSocket

__all__ = ["accept_websocket"]


async def accept_websocket(effect: Effect, stream: ByteStream, limits: Request = basic_request) -> WebSocket[Any]:
    """The server's half: read an upgrade from the stream and accept it (RFC 6455 §4.2).

    ``limits`` has the time limits, the largest message, the compression and the subprotocols that the server knows.
    Raises :class:`InvalidUpgrade` once the refusal is sent, :class:`OpenTimeout`, :class:`ConnectFailed`.
    """
    handshake = ServerHandshake(limits.compression, limits.max_message_size)
    try:
        async with effect.time_limit(limits.open_timeout):
            upgraded = await _accept(stream, handshake, limits.subprotocols)
    except TimeoutError as error:
        stream.abort()
        raise OpenTimeout(f"no upgrade was received within {limits.open_timeout} seconds") from error
    except BaseException:
        stream.abort()
        raise
    return WebSocket(session_of(effect, stream, ConnectionType.SERVER, upgraded, limits), effect)


async def _accept(stream: ByteStream, handshake: ServerHandshake, subprotocols: tuple[str, ...]) -> Upgraded:
    try:
        try:
            while (request := handshake.receive(await stream.read())) is None:
                pass
        except InvalidUpgrade:
            stream.write(handshake.data_to_send())
            await stream.close()
            raise
        upgraded = handshake.accept(request.first_of(subprotocols))
        stream.write(handshake.data_to_send())
        await stream.drain()
    except OSError as error:
        raise ConnectFailed(f"the connection was lost during the opening handshake: {error}") from error
    return upgraded
