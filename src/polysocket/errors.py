"""The errors, each with the data that its handler needs. They can be pickled and copied.

::

    WebSocketError
    ├── InvalidURL, InvalidRequest, InvalidFrame   (ValueError)    an argument that can't be used
    ├── BackendClosed                              (RuntimeError)  a closed backend opens nothing
    ├── NoAsyncLibrary                             (RuntimeError)  the flavour's library does not run here
    ├── WrongEventLoop                             (RuntimeError)  a call in another event loop than the websocket's
    ├── InvalidHandler                             (TypeError)     a handler that can't work in this flavour
    ├── UnexpectedFrame                                            a frame of another kind: .frame, .expected
    ├── InvalidJSON                                (ValueError)    a received message that is not JSON: .message
    ├── ConcurrentReceive                          (RuntimeError)  a second receive while one is waiting
    ├── ReentrantCall                              (RuntimeError)  a call inside another one of the same thread
    ├── OpeningFailed                                              no websocket was opened
    │   ├── ConnectFailed                          (OSError)       name, port, network or TLS: .errno, .causes
    │   │   └── ProxyFailed                                        no connection to the proxy, or a malformed answer
    │   │       └── ProxyRejected                                  the proxy opens no tunnel: .response
    │   ├── OpenTimeout                            (TimeoutError)  open_timeout passed: .timeout, .step
    │   ├── InvalidUpgrade                                         the answer breaks RFC 6455 §4
    │   └── UpgradeRejected                                        another answer than 101: .response
    │       └── RedirectRefused                                    a redirect that may not be followed
    ├── ExchangeEnded                                              no more answers to a request of a Multiplexer
    ├── SubscriptionFull                                           answers were not taken in time: .frames, .max_bytes
    ├── MultiplexerFailed                                          the client can't handle a message: .__cause__
    ├── ReceiveTimeout                             (TimeoutError)  nothing was lost: .timeout, .awaited
    ├── SendTimeout                                (TimeoutError)  timeout= passed: .timeout, .is_pending
    └── WebSocketClosed                                            the websocket has ended: .close, .close_info
        ├── ProtocolError                                          the peer broke RFC 6455 or 7692
        ├── MessageTooBig                                          a message over .limit bytes
        ├── BufferFull                                             received frames were not taken in time
        └── ConnectionLost                                         no Close was received: network error, EOF, silence
"""

from __future__ import annotations

from typing import Any

from polysocket.close_info import CloseInfo
from polysocket.frames import Binary, Close, DataFrame, Text
from polysocket.response import Response

__all__ = [
    "BackendClosed",
    "BufferFull",
    "ConcurrentReceive",
    "ConnectFailed",
    "ConnectionLost",
    "ExchangeEnded",
    "InvalidFrame",
    "InvalidHandler",
    "InvalidJSON",
    "InvalidRequest",
    "InvalidURL",
    "InvalidUpgrade",
    "MessageTooBig",
    "MultiplexerFailed",
    "NoAsyncLibrary",
    "OpenTimeout",
    "OpeningFailed",
    "ProtocolError",
    "ProxyFailed",
    "ProxyRejected",
    "ReceiveTimeout",
    "RedirectRefused",
    "ReentrantCall",
    "SendTimeout",
    "SubscriptionFull",
    "UnexpectedFrame",
    "UpgradeRejected",
    "WebSocketClosed",
    "WebSocketError",
    "WrongEventLoop",
]


class WebSocketError(Exception):
    """The root of polysocket's errors."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Python would call the class with args, which a subclass may not take. OSError keeps its data beside __dict__,
        # and would pickle them only with two arguments.
        system = {name: value for name in _OF_OSERROR if (value := getattr(self, name, None)) is not None}
        return _restored, (type(self), self.args), {**self.__dict__, **system}


_OF_OSERROR = ("errno", "strerror", "filename", "filename2", "winerror")


def _restored(kind: type[WebSocketError], args: tuple[Any, ...]) -> WebSocketError:
    """Return an error as it was before its attributes were set; pickle and copy set them."""
    error = kind.__new__(kind)
    error.args = args
    return error


class InvalidURL(WebSocketError, ValueError):
    """A URL that is not a ws or wss URL (RFC 6455 §3), or not the URL of a proxy."""


class InvalidRequest(WebSocketError, ValueError):
    """A header, subprotocol, token or limit that can't be in a request."""


class InvalidFrame(WebSocketError, ValueError):
    """A frame that may not be sent: a control frame too long, a wrong code, a continuation without a message."""


class BackendClosed(WebSocketError, RuntimeError):
    """The backend was closed, and opens nothing more."""


class NoAsyncLibrary(WebSocketError, RuntimeError):
    """The flavour's library does not run here: asyncio, trio, or, for anyio's users, either of them."""


class WrongEventLoop(WebSocketError, RuntimeError):
    """A call in another event loop, or ``trio.run()``, than the one in which the websocket was opened.

    Nothing was sent or received. A call in its own loop goes on as before; if that has ended, the connection is lost.
    """


class InvalidHandler(WebSocketError, TypeError):
    """A handler that can't work in this flavour, or an object that is not a handler."""


class UnexpectedFrame(WebSocketError):
    """``receive_text`` met binary data, or ``receive_binary`` text; the frame stays and can still be received.

    ``frame`` is the frame that arrived, ``expected`` the class of the frame that was to be received.
    """

    def __init__(
        self, message: str, frame: DataFrame | None = None, expected: type[Text | Binary] | None = None
    ) -> None:
        super().__init__(message)
        self.frame: DataFrame | None = frame
        self.expected: type[Text | Binary] | None = expected


class InvalidJSON(WebSocketError, ValueError):
    """``receive_json`` met a message that is not JSON; the websocket stays open.

    ``message`` is the whole message, which is received no more.
    """

    def __init__(self, text: str, message: str | bytes = "") -> None:
        super().__init__(text)
        self.message: str | bytes = message


class ConcurrentReceive(WebSocketError, RuntimeError):
    """A second ``receive`` while another task or thread is in one: either might get the next frame."""


class ReentrantCall(WebSocketError, RuntimeError):
    """A call from inside another call of the same websocket in this thread, for which it would have to wait.

    A signal handler, ``__del__`` or a logging handler can make one. Raise from it, or call from another thread.
    """


class OpeningFailed(WebSocketError):
    """No websocket was opened; each subclass says at which step it failed."""


class ConnectFailed(OpeningFailed, OSError):
    """No connection to the server: its name, port, network or TLS.

    ``causes`` has the system's error, or one for each address that was tried, with the address as its ``filename``. It
    is empty if the system reported none. The ``__cause__`` is the first of them. ``errno`` is the number of the first
    one, and None for an error of TLS.
    """

    def __init__(self, message: str, errno: int | None = None, causes: tuple[OSError, ...] = ()) -> None:
        super().__init__(message)
        self.errno: int | None = errno
        self.causes: tuple[OSError, ...] = causes


class ProxyFailed(ConnectFailed):
    """No tunnel through the proxy: no connection to it, or its answer breaks HTTP or SOCKS (RFC 1928)."""


class ProxyRejected(ProxyFailed):
    """The proxy opens no tunnel: it wants other credentials, does not allow the server, or can't reach it.

    ``response`` is its answer, with at most 64 KiB of its body; None from a SOCKS proxy, whose reason is in the text.
    """

    def __init__(self, message: str, response: Response | None = None) -> None:
        super().__init__(message)
        self.response: Response | None = response


class OpenTimeout(OpeningFailed, TimeoutError):
    """Connecting and the opening handshake took longer than ``timeout`` seconds, the request's ``open_timeout``.

    ``step`` says what was still going on, such as ``"in the TLS handshake"``.
    """

    def __init__(self, message: str, timeout: float | None = None, step: str = "") -> None:
        super().__init__(message)
        self.timeout: float | None = timeout
        self.step: str = step


class InvalidUpgrade(OpeningFailed):
    """The peer's part of the opening handshake breaks RFC 6455 §4 or HTTP."""


class UpgradeRejected(OpeningFailed):
    """The server answered the upgrade with another status than 101.

    ``response`` has its ``status``, ``headers`` and the ``body``, of which at most 64 KiB are kept.
    """

    def __init__(self, response: Response, message: str | None = None) -> None:
        super().__init__(response, message)
        self.response: Response = response
        body = ", with a body (.response.body)" if response.body else ""
        self.message: str = message or f"the server did not upgrade: it answered {response.status_line}{body}"

    def __str__(self) -> str:
        return self.message


class RedirectRefused(UpgradeRejected):
    """A redirect that is not followed: too many, no usable Location, or from wss to ws."""


class ExchangeEnded(WebSocketError):
    """A request of a :class:`~polysocket.multiplexing.Multiplexer` has no more answers.

    The peer has finished it, or this side has left it or unsubscribed. A loop over a subscription ends instead.
    """


class SubscriptionFull(WebSocketError):
    """More answers arrived than the buffer of a subscription, or of another exchange, holds; the rest was dropped.

    It is raised after the answers that are held. The bounds are ``frames`` answers and ``max_bytes`` bytes. The
    websocket stays open.
    """

    def __init__(self, message: str, frames: int | None = None, max_bytes: int | None = None) -> None:
        super().__init__(message)
        self.frames: int | None = frames
        self.max_bytes: int | None = max_bytes


class MultiplexerFailed(WebSocketError):
    """A :class:`~polysocket.multiplexing.Multiplexer` can't handle what the peer sends, and has closed the websocket.

    The ``__cause__`` is what its ``on_message`` or ``on_start`` has raised.
    """


class ReceiveTimeout(WebSocketError, TimeoutError):
    """``timeout`` seconds passed without the frame or message that was asked for; no frame was lost.

    ``awaited`` names it, such as ``"text message"`` or ``"Pong"``.
    """

    def __init__(self, message: str, timeout: float | None = None, awaited: str = "") -> None:
        super().__init__(message)
        self.timeout: float | None = timeout
        self.awaited: str = awaited


class SendTimeout(WebSocketError, TimeoutError):
    """``timeout`` seconds passed before the network had taken the whole frame; the websocket stays open.

    ``is_pending`` says what happens to the frame. If it is False, nothing was sent: the frame may be sent again. If it
    is True, the frame counts as sent: it goes out, whole and before any later frame, as the network takes it. Don't
    send it again.

    ``messages_sent`` is the number of messages of a ``send_many`` that count as sent: the first ones. The others may be
    sent again. It is None for any other call.
    """

    def __init__(
        self,
        message: str,
        timeout: float | None = None,
        is_pending: bool = False,
        messages_sent: int | None = None,
    ) -> None:
        super().__init__(message)
        self.timeout: float | None = timeout
        self.is_pending: bool = is_pending
        self.messages_sent: int | None = messages_sent


class WebSocketClosed(WebSocketError):
    """The websocket has ended; every later ``receive`` and ``send`` raises this.

    ``close_info`` explains the end; ``close`` is the received Close, or None.

    ``messages_sent`` is the number of messages of a ``send_many`` that were handed to the network before the end, the
    first ones, whether or not the peer has received them. It is None for any other call.
    """

    def __init__(self, close_info: CloseInfo) -> None:
        super().__init__(close_info)
        self.close_info: CloseInfo = close_info
        self.messages_sent: int | None = None

    @property
    def close(self) -> Close | None:
        """The received Close, or None."""
        return self.close_info.received

    def __str__(self) -> str:
        sent = (
            "" if self.messages_sent is None else f" ({self.messages_sent} messages were handed to the network before)"
        )
        return f"{self.close_info}{sent}"


class ProtocolError(WebSocketClosed):
    """The peer broke RFC 6455 or 7692; the websocket was failed with ``close_info.sent`` (§7.1.7)."""


class MessageTooBig(WebSocketClosed):
    """A message was over the ``limit`` in bytes; the websocket was failed with 1009."""

    def __init__(self, close_info: CloseInfo, limit: int) -> None:
        super().__init__(close_info)
        self.args: tuple[Any, ...] = (close_info, limit)
        self.limit: int = limit

    def __str__(self) -> str:
        return f"{super().__str__()}; max_message_size=… raises the limit of {self.limit} bytes"


class BufferFull(WebSocketClosed):
    """More was received than the :class:`Buffer` holds; the websocket was failed with 1008.

    It is raised after the buffered frames. In sttp it is ``WebSocketBufferFull``.
    """


class ConnectionLost(WebSocketClosed):
    """The connection ended without a Close: code 1006; a network error is the ``__cause__``."""
