"""WebSockets for blocking scripts, threads, asyncio and trio, with the protocol written once.

``polysocket.blocking``, ``threaded``, ``asyncio``, ``trio`` and ``anyio`` have ``connect``; what they share is here.
"""

from polysocket.backend import Backend, LoggingBackend, ObservedBackend
from polysocket.buffer import Buffer
from polysocket.client import PolymorphicClient
from polysocket.effect import Async, Asyncio, Blocking, Threaded, Trio, polymorphic
from polysocket.errors import (
    BackendClosed,
    BufferFull,
    CloseCause,
    CloseInfo,
    ConcurrentReceive,
    ConnectFailed,
    ConnectionLost,
    InvalidFrame,
    InvalidHandler,
    InvalidRequest,
    InvalidUpgrade,
    InvalidURL,
    MessageTooBig,
    OpeningFailed,
    OpenTimeout,
    ProtocolError,
    ProxyFailed,
    ProxyRejected,
    ReceiveTimeout,
    RedirectRefused,
    Side,
    UnexpectedFrame,
    UpgradeRejected,
    WebSocketClosed,
    WebSocketError,
)
from polysocket.frames import Binary, Close, CloseCode, DataFrame, Frame, Ping, Pong, Text
from polysocket.handlers import Handler, Listener, WebSocketHandler
from polysocket.observing import LoggingObserver, Observation, Observer, payload_size
from polysocket.opening import ConnectOptions
from polysocket.pipes import PipeHandler, from_message_pipe, from_text_pipe
from polysocket.proxy import Proxy, ProxySetting, system_proxy
from polysocket.request import Deflate, Headers, Request, Response, WebSocketResponse, WebSocketURL, basic_request
from polysocket.websocket import Opening, WebSocket

__all__ = [
    "Async",
    "Asyncio",
    "Backend",
    "BackendClosed",
    "Binary",
    "Blocking",
    "Buffer",
    "BufferFull",
    "Close",
    "CloseCause",
    "CloseCode",
    "CloseInfo",
    "ConcurrentReceive",
    "ConnectFailed",
    "ConnectOptions",
    "ConnectionLost",
    "DataFrame",
    "Deflate",
    "Frame",
    "Handler",
    "Headers",
    "InvalidFrame",
    "InvalidHandler",
    "InvalidRequest",
    "InvalidURL",
    "InvalidUpgrade",
    "Listener",
    "LoggingBackend",
    "LoggingObserver",
    "MessageTooBig",
    "Observation",
    "ObservedBackend",
    "Observer",
    "OpenTimeout",
    "Opening",
    "OpeningFailed",
    "Ping",
    "PipeHandler",
    "PolymorphicClient",
    "Pong",
    "ProtocolError",
    "Proxy",
    "ProxyFailed",
    "ProxyRejected",
    "ProxySetting",
    "ReceiveTimeout",
    "RedirectRefused",
    "Request",
    "Response",
    "Side",
    "Text",
    "Threaded",
    "Trio",
    "UnexpectedFrame",
    "UpgradeRejected",
    "WebSocket",
    "WebSocketClosed",
    "WebSocketError",
    "WebSocketHandler",
    "WebSocketResponse",
    "WebSocketURL",
    "basic_request",
    "from_message_pipe",
    "from_text_pipe",
    "payload_size",
    "polymorphic",
    "system_proxy",
]
