"""The attributes of a websocket, which need no waiting."""

from __future__ import annotations

from typing import Any, TypeVar

from polysocket._lifting import HasWith
from polysocket._methods.waiting import ProgramEffect
from polysocket._session.session import Session
from polysocket.close_info import CloseInfo
from polysocket.effects import Async, Lifter
from polysocket.redaction import redact_query
from polysocket.request import Request
from polysocket.response import Response
from polysocket.tls_info import TLSInfo

__all__ = ["WebSocket"]

F_co = TypeVar("F_co", covariant=True)


class WebSocket(HasWith[F_co]):
    """The attributes of a websocket; those of its opening and of its connection stay after its end."""

    def __init__(self, session: Session, effect: Lifter) -> None:
        self._session = session
        self._effect = effect

    @property
    def is_open(self) -> bool:
        """Whether frames may still be sent: no Close was sent or received, and the end of the connection was not read.

        The peer's Close is read while a caller receives or pings, or in the background with a :class:`Buffer`.
        """
        return self._session.is_open

    @property
    def latency(self) -> float | None:
        """The seconds from the latest Ping to its Pong, whether keepalive or :meth:`ping` has sent it; None before."""
        return self._session.pings.latency

    @property
    def response(self) -> Response:
        """The HTTP response that opened the websocket; its ``headers`` are sttp's ``upgradeHeaders``."""
        return self._session.response

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol that was agreed on, or None (RFC 6455 §1.9)."""
        return self._session.response.subprotocol

    @property
    def close_info(self) -> CloseInfo | None:
        """How the websocket ended: the initiator, both Closes, and the cause; None while it has not ended."""
        return self._session.close_info

    @property
    def request(self) -> Request:
        """The request that opened the websocket: after redirects, the last one.

        On a server, it has the client's URL, headers and subprotocols, and the server's own limits.
        """
        return self._session.request

    @property
    def url(self) -> str:
        """The URL of the request, with its query and without credentials; empty if there is none.

        Only a server has none: if the client's Host header makes no URL.
        """
        url = self._session.request.url
        return "" if url is None else url.with_query

    @property
    def extensions(self) -> tuple[str, ...]:
        """The extensions that were agreed on, with their parameters, such as ``("permessage-deflate",)``."""
        return self._session.response.extensions

    @property
    def remote_address(self) -> Any:
        """The address to which the socket is connected, as its ``getpeername()`` returned it: the proxy's, if any.

        For TCP it is a tuple that begins with the address and the port. It is None without a socket, as in memory.
        """
        return getattr(self._session._stream, "remote_address", None)

    @property
    def local_address(self) -> Any:
        """The socket's own address, as its ``getsockname()`` returned it; None without a socket, as in memory."""
        return getattr(self._session._stream, "local_address", None)

    @property
    def tls(self) -> TLSInfo | None:
        """The version, the cipher and the peer's certificate of TLS with the peer; None without TLS.

        Via a proxy, it is the TLS within the tunnel, not the TLS with the proxy.
        """
        url = self._session.request.url
        is_plain = url is not None and not url.secure
        return None if is_plain else getattr(self._session._stream, "tls", None)

    @property
    def effect(self: WebSocket[Async]) -> ProgramEffect:
        """The effect of the flavour for polymorphic programs: time, events, background programs.

        It is for programs, in every flavour, and for the asynchronous flavours. A blocking websocket has it in programs
        only, and raises AttributeError elsewhere.
        """
        if not self._effect.is_async:  # AttributeError, so that mock and completion go on to the next attribute
            raise AttributeError("effect is for polymorphic programs: in this flavour, use it in a program only")
        return ProgramEffect(self._session._effect)

    def __repr__(self) -> str:
        of_class = getattr(type(self), "_effect", None)  # A program's view of a websocket has an effect without a name.
        flavour = getattr(of_class, "name", self._session._effect.name)
        return f"<{flavour}.WebSocket {redact_query(self.url)} {self._session.state}>"
