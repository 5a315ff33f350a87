"""The server's program for opening a websocket on a byte stream (RFC 6455 §4.2)."""

from __future__ import annotations

from dataclasses import replace

from wsproto import ConnectionType

from polysocket._core.handshake import Upgraded
from polysocket._core.server_handshake import ServerHandshake, UpgradeRequest
from polysocket._opening.dialer import causes_of, system_errno
from polysocket._opening.opening_handshake import session_of
from polysocket._session.session import Session
from polysocket.effects import ByteStream, Effect
from polysocket.errors import ConnectFailed, InvalidUpgrade, InvalidURL, OpenTimeout
from polysocket.request import Request, basic_request
from polysocket.url import WebSocketURL

__all__ = ["accept_session", "received_request"]


async def accept_session(effect: Effect, stream: ByteStream, limits: Request = basic_request) -> Session:
    """Read an upgrade from the stream and accept it (RFC 6455 §4.2).

    ``limits`` has the time limits, the largest message, the compression and the subprotocols that the server knows.
    Raises :class:`InvalidUpgrade` after sending the refusal, :class:`OpenTimeout`, :class:`ConnectFailed`.
    """
    handshake = ServerHandshake(limits.compression, limits.max_message_size)
    try:
        async with effect.time_limit(limits.open_timeout):
            asked, upgraded = await _accept(stream, handshake, limits.subprotocols)
    except TimeoutError:
        stream.abort()
        seconds = limits.open_timeout
        text = f"no upgrade was received within {seconds} seconds"
        raise OpenTimeout(text, seconds, "in the opening handshake") from None
    except BaseException:
        stream.abort()
        raise
    request = received_request(asked, limits, "wss" if hasattr(stream, "tls") else "ws")
    session = session_of(effect, stream, ConnectionType.SERVER, upgraded, request)
    session.begin()
    return session


def received_request(asked: UpgradeRequest, limits: Request, scheme: str) -> Request:
    """Return the client's request with the limits of the server; it has no URL if its Host can't be in one."""
    try:
        url = WebSocketURL.parse(f"{scheme}://{asked.host}{asked.target}")
    except InvalidURL:
        url = None
    return replace(limits, url=url, headers=asked.headers, subprotocols=asked.subprotocols)


async def _accept(
    stream: ByteStream, handshake: ServerHandshake, subprotocols: tuple[str, ...]
) -> tuple[UpgradeRequest, Upgraded]:
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
        (cause,) = causes_of(error)
        text = f"the connection was lost during the opening handshake: {cause}"
        raise ConnectFailed(text, system_errno(cause), (cause,)) from cause
    return request, upgraded
