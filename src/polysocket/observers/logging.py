"""Logging of the events of websockets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from polysocket._logger import get_logger
from polysocket.close_info import CloseInfo
from polysocket.frames import Close, Frame
from polysocket.observers.observation import Observation, payload_size
from polysocket.request import Request
from polysocket.response import Response

if TYPE_CHECKING:
    import logging

__all__ = ["LoggingObserver"]


class LoggingObserver:
    """An :class:`Observer` that logs openings, rejections and closings at INFO, and each frame at DEBUG.

    Secrets (credentials, cookies, query strings) are redacted. Frames are logged with their kind and size only.
    The default logger is ``polysocket``.
    """

    def __init__(self, logger: logging.Logger | None = None) -> None:
        self.logger: logging.Logger = logger or get_logger()

    def opening(self, request: Request, /) -> Observation:
        """Return an observation that logs."""
        return _Log(self.logger, request)


class _Log(Observation):
    def __init__(self, logger: logging.Logger, request: Request) -> None:
        self._logger = logger
        self._url = str(request.url)

    def opened(self, response: Response, /) -> None:
        extensions = ", ".join(response.extensions) or "no extensions"
        subprotocol = f", subprotocol {response.subprotocol}" if response.subprotocol else ""
        self._logger.info("%s: open, %s%s", self._url, extensions, subprotocol)

    def rejected(self, error: BaseException, /) -> None:
        self._logger.info("%s: not opened: %s: %s", self._url, type(error).__name__, error)

    def received(self, frame: Frame | Close, /) -> None:
        self._log("received", frame)

    def sent(self, frame: Frame | Close, /) -> None:
        self._log("sent", frame)

    def closed(self, info: CloseInfo, /) -> None:
        self._logger.info("%s: %s", self._url, info)

    def _log(self, event: str, frame: Frame | Close) -> None:
        import logging  # noqa: PLC0415 - slow to import, and imported by now

        if self._logger.isEnabledFor(logging.DEBUG):  # A text must be encoded for its size.
            self._logger.debug("%s: %s %s, %d bytes", self._url, event, type(frame).__name__, payload_size(frame))
