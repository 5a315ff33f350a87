"""WebSockets for blocking scripts, threads, asyncio and trio, with the protocol written once.

``polysocket.blocking``, ``threaded``, ``asyncio``, ``trio`` and ``anyio`` have ``connect``; what they share is here.
"""

from polysocket._build import is_compiled
from polysocket._methods.waiting import BackgroundProgram, ProgramEffect
from polysocket._opening.finality import is_final
from polysocket._opening.options import ConnectOptions
from polysocket._version import __version__ as __version__
from polysocket.backend import Backend, LoggingBackend, ObservedBackend
from polysocket.backoff import Backoff, Gap
from polysocket.buffer import Buffer
from polysocket.close_info import CloseCause, CloseInfo, Side
from polysocket.compression import Deflate
from polysocket.effects import Async, Asyncio, Blocking, Threaded, Trio
from polysocket.errors import (
    BackendClosed,
    BufferFull,
    ConcurrentReceive,
    ConnectFailed,
    ConnectionLost,
    ExchangeEnded,
    InvalidFrame,
    InvalidHandler,
    InvalidJSON,
    InvalidRequest,
    InvalidUpgrade,
    InvalidURL,
    MessageTooBig,
    MultiplexerFailed,
    NoAsyncLibrary,
    OpeningFailed,
    OpenTimeout,
    ProtocolError,
    ProxyFailed,
    ProxyRejected,
    ReceiveTimeout,
    RedirectRefused,
    ReentrantCall,
    SendTimeout,
    SubscriptionFull,
    UnexpectedFrame,
    UpgradeRejected,
    WebSocketClosed,
    WebSocketError,
    WrongEventLoop,
)
from polysocket.frames import Binary, Close, CloseCode, DataFrame, Frame, Ping, Pong, Text
from polysocket.handlers.handler import Handler, WebSocketHandler
from polysocket.handlers.listener import Listener
from polysocket.handlers.pipe import PipeHandler, from_message_pipe, from_text_pipe
from polysocket.headers import Headers
from polysocket.observers.logging import LoggingObserver
from polysocket.observers.observation import Observation, Observer
from polysocket.polymorphic import PolymorphicClient, polymorphic
from polysocket.proxy import Proxy, ProxySetting, system_proxy
from polysocket.request import Request, basic_request
from polysocket.response import Response, WebSocketResponse
from polysocket.tls_info import TLSInfo
from polysocket.url import WebSocketURL
from polysocket.websocket import WebSocket

__all__ = [
    "Async",
    "Asyncio",
    "Backend",
    "BackendClosed",
    "BackgroundProgram",
    "Backoff",
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
    "ExchangeEnded",
    "Frame",
    "Gap",
    "Handler",
    "Headers",
    "InvalidFrame",
    "InvalidHandler",
    "InvalidJSON",
    "InvalidRequest",
    "InvalidURL",
    "InvalidUpgrade",
    "Listener",
    "LoggingBackend",
    "LoggingObserver",
    "MessageTooBig",
    "MultiplexerFailed",
    "NoAsyncLibrary",
    "Observation",
    "ObservedBackend",
    "Observer",
    "OpenTimeout",
    "OpeningFailed",
    "Ping",
    "PipeHandler",
    "PolymorphicClient",
    "Pong",
    "ProgramEffect",
    "ProtocolError",
    "Proxy",
    "ProxyFailed",
    "ProxyRejected",
    "ProxySetting",
    "ReceiveTimeout",
    "RedirectRefused",
    "ReentrantCall",
    "Request",
    "Response",
    "SendTimeout",
    "Side",
    "SubscriptionFull",
    "TLSInfo",
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
    "WrongEventLoop",
    "basic_request",
    "from_message_pipe",
    "from_text_pipe",
    "is_compiled",
    "is_final",
    "polymorphic",
    "system_proxy",
]
