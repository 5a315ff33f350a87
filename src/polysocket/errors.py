"""The errors, each with the data that its handler needs.

::

    WebSocketError
    ├── InvalidURL, InvalidRequest, InvalidFrame   (ValueError)    the caller gave something that can't be used
    ├── BackendClosed                              (RuntimeError)  a closed backend opens nothing
    ├── NoAsyncLibrary                             (RuntimeError)  what the flavour waits by does not run here
    ├── InvalidHandler                             (TypeError)     a handler that can't work in this flavour
    ├── UnexpectedFrame                                            receive_text met a binary frame, or the reverse
    ├── ConcurrentReceive                          (RuntimeError)  a second receive while one is waiting
    ├── OpeningFailed                                              there is no websocket
    │   ├── ConnectFailed                          (OSError)       no connection: name, port, network, TLS
    │   │   └── ProxyFailed                                        no connection to the proxy, or no sense in its answer
    │   │       └── ProxyRejected                                  the proxy opens no tunnel: .response
    │   ├── OpenTimeout                            (TimeoutError)  open_timeout passed
    │   ├── InvalidUpgrade                                         the answer breaks RFC 6455 §4
    │   └── UpgradeRejected                                        another answer than 101: .response
    │       └── RedirectRefused                                    a redirect that may not be followed
    ├── ReceiveTimeout                             (TimeoutError)  timeout= passed; nothing was lost
    └── WebSocketClosed                                            it has ended: .close, .close_info
        ├── ProtocolError                                          the other side broke RFC 6455 or 7692
        ├── MessageTooBig                                          a message over .limit bytes
        ├── BufferFull                                             nobody took what was received
        └── ConnectionLost                                         no Close came: network error, end of stream, silence
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

from polysocket.frames import Close

if TYPE_CHECKING:
    from polysocket.response import Response
from polysocket.close_info import CloseInfo

__all__ = [
    "BackendClosed",
    "BufferFull",
    "ConcurrentReceive",
    "ConnectFailed",
    "ConnectionLost",
    "InvalidFrame",
    "InvalidHandler",
    "InvalidRequest",
    "InvalidURL",
    "InvalidUpgrade",
    "MessageTooBig",
    "NoAsyncLibrary",
    "OpenTimeout",
    "OpeningFailed",
    "ProtocolError",
    "ProxyFailed",
    "ProxyRejected",
    "ReceiveTimeout",
    "RedirectRefused",
    "UnexpectedFrame",
    "UpgradeRejected",
    "WebSocketClosed",
    "WebSocketError",
]


class WebSocketError(Exception):
    """The root of polysocket's errors."""


class InvalidURL(WebSocketError, ValueError):
    """A URL that is no ws or wss URL (RFC 6455 §3), or none of a proxy."""


class InvalidRequest(WebSocketError, ValueError):
    """A header, subprotocol, token or limit that can't be in a request."""


class InvalidFrame(WebSocketError, ValueError):
    """A frame that may not be sent: a control frame too long, a wrong code, a continuation of nothing."""


class BackendClosed(WebSocketError, RuntimeError):
    """The backend was closed, and opens nothing more."""


class NoAsyncLibrary(WebSocketError, RuntimeError):
    """What the flavour waits by does not run here: asyncio, trio, or, for anyio's users, neither."""


class InvalidHandler(WebSocketError, TypeError):
    """A handler that can't work in this flavour, or is none."""


class UnexpectedFrame(WebSocketError):
    """``receive_text`` met binary data, or ``receive_binary`` text; the frame stays and can still be received."""


class ConcurrentReceive(WebSocketError, RuntimeError):
    """A second ``receive`` while another task or thread is in one: frames would go to either by chance."""


class OpeningFailed(WebSocketError):
    """There is no websocket; each subclass says at which step."""


class ConnectFailed(OpeningFailed, OSError):
    """No connection to the server: its name, port, network or TLS; the ``__cause__`` has the system's error.

    ``errno`` is that of the system's error, of the first one where many addresses were tried; None for one of TLS.
    """

    @property
    def errno(self) -> int | None:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]
        """The number of the system's error, or None."""
        return _errno(self.__cause__)


def _errno(error: BaseException | None) -> int | None:
    attempts: tuple[BaseException, ...] = getattr(error, "exceptions", ())  # those of happy eyeballs
    if attempts:
        return _errno(attempts[0])
    if not isinstance(error, OSError) or isinstance(error, ssl.SSLError):  # Its numbers are OpenSSL's.
        return None
    return error.errno or _errno(error.__cause__)


class ProxyFailed(ConnectFailed):
    """No way through the proxy: no connection to it, or what it answers breaks HTTP or SOCKS (RFC 1928)."""


class ProxyRejected(ProxyFailed):
    """The proxy opens no tunnel to the server: it wants other credentials, does not allow it, can't reach the server.

    ``response`` is its answer, with at most 64 KiB of its body; None from a SOCKS proxy, whose reason is in the text.
    """

    def __init__(self, message: str, response: Response | None = None) -> None:
        super().__init__(message)
        self.response = response


class OpenTimeout(OpeningFailed, TimeoutError):
    """Connecting and the opening handshake took longer than ``open_timeout`` seconds; its text says at which step."""


class InvalidUpgrade(OpeningFailed):
    """The other side's part of the opening handshake breaks RFC 6455 §4 or HTTP."""


class UpgradeRejected(OpeningFailed):
    """The server answered the upgrade with another status than 101.

    ``response`` has its ``status``, ``headers`` and the ``body``, of which at most 64 KiB are kept.
    """

    def __init__(self, response: Response, message: str | None = None) -> None:
        super().__init__(response, message)
        self.response = response
        body = ", with a body (.response.body)" if response.body else ""
        self.message: str = message or f"the server did not upgrade: it answered {response.status_line}{body}"

    def __str__(self) -> str:
        return self.message


class RedirectRefused(UpgradeRejected):
    """A redirect that is not followed: too many, no usable Location, or from wss to ws."""


class ReceiveTimeout(WebSocketError, TimeoutError):
    """``timeout`` seconds passed without what was asked for; no frame was lost."""


class WebSocketClosed(WebSocketError):
    """The websocket has ended; every later ``receive`` and ``send`` raises this.

    ``close_info`` explains the end; ``close`` is the Close received, or None.
    """

    def __init__(self, close_info: CloseInfo) -> None:
        super().__init__(close_info)
        self.close_info = close_info

    @property
    def close(self) -> Close | None:
        """The Close received, or None."""
        return self.close_info.received

    def __str__(self) -> str:
        return str(self.close_info)


class ProtocolError(WebSocketClosed):
    """The other side broke RFC 6455 or 7692; the websocket was failed with ``close_info.sent`` (§7.1.7)."""


class MessageTooBig(WebSocketClosed):
    """A message was over the ``limit`` in bytes; the websocket was failed with 1009."""

    def __init__(self, close_info: CloseInfo, limit: int) -> None:
        super().__init__(close_info)
        self.args: tuple[Any, ...] = (close_info, limit)
        self.limit = limit

    def __str__(self) -> str:
        return f"{self.close_info}; max_message_size=… raises the limit of {self.limit} bytes"


class BufferFull(WebSocketClosed):
    """More was received than the :class:`Buffer` holds; the websocket was failed with 1008.

    It comes behind the frames that are buffered. In sttp it is ``WebSocketBufferFull``.
    """


class ConnectionLost(WebSocketClosed):
    """The connection ended without a Close: code 1006; a network error is the ``__cause__``."""
