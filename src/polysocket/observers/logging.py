"""Logging of the events of websockets: the lines of each, and the log that a websocket has on its own.

:class:`LoggingObserver` is for backends. A websocket whose backend has none logs by :class:`ConnectionLog`, if its
logger is enabled for DEBUG when it is opened.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from polysocket._logger import get_logger
from polysocket.close_info import CloseInfo
from polysocket.errors import InvalidRequest
from polysocket.frames import Binary, Close, Frame, Text
from polysocket.headers import Headers
from polysocket.observers.observation import Observation, Observer, payload_size
from polysocket.redaction import escaped, redact_field, redact_query
from polysocket.request import Request
from polysocket.response import Response

if TYPE_CHECKING:
    import logging

    Logger = logging.Logger | logging.LoggerAdapter[Any]

__all__ = ["ConnectionLog", "Logger", "LoggingObserver", "check_logger", "connection_log"]

# logging.DEBUG and logging.INFO: the module is slow to import, and not imported before a line is logged.
DEBUG: Final = 10
INFO: Final = 20

MAX_SHOWN: Final = 60  # characters or bytes of a payload: with the rest of the line, one line of a wide terminal

_numbers: Final = itertools.count(1)
"""The numbers of the logged connections of this process."""


class LoggingObserver:
    """An :class:`Observer` that logs openings, rejections and closings at INFO, and each frame at DEBUG.

    Secrets (credentials, cookies, query strings) are redacted. Frames are logged with their kind and size only.
    The default logger is ``polysocket``. Raises :class:`InvalidRequest` if ``logger`` is no logger, but a name, say.
    """

    def __init__(self, logger: logging.Logger | logging.LoggerAdapter[Any] | None = None) -> None:
        check_logger(logger)
        self.logger: Logger = logger or get_logger()

    def opening(self, request: Request, /) -> Observation:
        """Return an observation that logs."""
        return _Log(self.logger, str(request.url), INFO)


class _Log(Observation):
    """The lines about one websocket; each begins with its name."""

    def __init__(self, logger: Logger, name: str, level: int) -> None:
        self._logger = logger
        self._name = name
        self._level = level

    def opened(self, response: Response, /) -> None:
        extensions = ", ".join(response.extensions) or "no extensions"
        subprotocol = f", subprotocol {response.subprotocol}" if response.subprotocol else ""
        self._logger.log(self._level, "%s: open, %s%s", self._name, extensions, subprotocol)

    def rejected(self, error: BaseException, /) -> None:
        self._logger.log(self._level, "%s: not opened: %s: %s", self._name, type(error).__name__, error)

    def received(self, frame: Frame | Close, /) -> None:
        self._log_frame("received", frame)

    def sent(self, frame: Frame | Close, /) -> None:
        self._log_frame("sent", frame)

    def closed(self, info: CloseInfo, /) -> None:
        self._logger.log(self._level, "%s: %s", self._name, info)

    def _log_frame(self, event: str, frame: Frame | Close) -> None:
        if self._logger.isEnabledFor(DEBUG):  # A text must be encoded for its size.
            self._logger.debug("%s: %s %s", self._name, event, self._describe(frame))

    def _describe(self, frame: Frame | Close) -> str:
        return f"{type(frame).__name__}, {payload_size(frame)} bytes"


class ConnectionLog(_Log):
    """The log of one websocket, all at DEBUG: also its handshake, redacted, and its frames, shortened."""

    def __init__(self, logger: Logger, request: Request) -> None:
        super().__init__(logger, f"#{next(_numbers)}", DEBUG)
        self._logger.debug("%s: opening %s", self._name, request.url)

    def sent_request(self, request: Request, headers: Headers) -> None:
        """Log a request of the opening handshake, with the headers as they are sent."""
        target = "" if request.url is None else request.url.target
        self._log_head("sent", f"GET {redact_query(target)} HTTP/1.1", headers)

    def received_response(self, response: Response) -> None:
        """Log a response of the opening handshake."""
        self._log_head("received", f"HTTP/1.1 {response.status_line}", response.headers)

    def noted(self, event: str) -> None:
        """Log an event that no observer is told, such as one of keepalive."""
        self._logger.debug("%s: %s", self._name, event)

    def _log_head(self, event: str, first_line: str, headers: Headers) -> None:
        self._logger.debug("%s: %s %s", self._name, event, first_line)
        for name, value in headers.pairs:
            self._logger.debug("%s: %s %s: %s", self._name, event, name, escaped(redact_field(name, value)))

    def _describe(self, frame: Frame | Close) -> str:
        if isinstance(frame, Close):
            return f"Close {frame}"
        shown = repr(frame.payload[:MAX_SHOWN])
        more = "…" if len(frame.payload) > MAX_SHOWN else ""
        fragment = ", fragment" if isinstance(frame, Text | Binary) and not frame.final else ""
        return f"{super()._describe(frame)}{fragment}: {shown}{more}"


def connection_log(logger: Logger | None, request: Request, observers: Iterable[Observer] = ()) -> ConnectionLog | None:
    """Return the log of a websocket that is about to be opened; None if it is off, which costs this call only.

    It is off if an observer logs the websocket already. The default logger is ``polysocket``.
    """
    if logger is None and "logging" in sys.modules:
        logger = get_logger()
    if logger is None or not logger.isEnabledFor(DEBUG):  # A program without logging has enabled no logger.
        return None
    if any(isinstance(observer, LoggingObserver) for observer in observers):
        return None
    return ConnectionLog(logger, request)


def check_logger(logger: object) -> None:
    """Raise :class:`InvalidRequest` unless the logger is one of ``logging``, or None."""
    if logger is not None and not (hasattr(logger, "isEnabledFor") and hasattr(logger, "debug")):
        raise InvalidRequest(f"logger is a logging.Logger or a LoggerAdapter, not {logger!r}")
