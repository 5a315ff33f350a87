"""The options of a connection to the server: a proxy, a Unix socket, a given socket, TLS settings, its log.

``connect`` checks them before anything is opened; :mod:`polysocket._opening.dialer` uses them.
"""

from __future__ import annotations

import socket
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from polysocket.errors import InvalidRequest
from polysocket.observers.logging import check_logger
from polysocket.proxy import ProxySetting, as_proxy, check_context

if TYPE_CHECKING:
    import logging
    import ssl

__all__ = ["Transport"]


@dataclass(frozen=True, slots=True)
class Transport:
    """The options of a connection that is not just TCP to the URL's host; raises :class:`InvalidRequest`."""

    ssl: ssl.SSLContext | None = None
    sock: socket.socket | None = None
    unix_path: str | None = None
    proxy: ProxySetting = None
    logger: logging.Logger | logging.LoggerAdapter[Any] | None = None

    def __post_init__(self) -> None:
        if self.ssl is not None:
            check_context(self.ssl)
        if self.logger is not None:
            check_logger(self.logger)
        if self.sock is not None:
            _check_plain(self.sock)
        if self.unix_path is not None and (not self.unix_path or "\0" in self.unix_path[1:]):
            # The system would end the path at a NUL, unless that begins an abstract address.
            raise InvalidRequest(f"unix_path is a path without NUL, or an abstract address, not {self.unix_path!r}")
        if self.sock is not None and self.unix_path is not None:
            raise InvalidRequest("sock and unix_path exclude each other")
        if self.proxy is None:
            return
        if self.is_fixed:
            raise InvalidRequest(f"proxy and {'unix_path' if self.sock is None else 'sock'} exclude each other")
        if not callable(self.proxy):
            object.__setattr__(self, "proxy", as_proxy(self.proxy))  # to be checked now, and redacted in repr

    @property
    def is_fixed(self) -> bool:
        """Whether the options name one address, so that a redirect can't be followed."""
        return self.sock is not None or self.unix_path is not None


def _check_plain(sock: object) -> None:
    """Raise :class:`InvalidRequest` unless bytes that are sent on the socket go out as they are."""
    if not isinstance(sock, socket.socket):
        raise InvalidRequest(f"sock is a socket.socket, not {sock!r}")
    ssl = sys.modules.get("ssl")  # An SSLSocket is there only if ssl was imported.
    if ssl is not None and isinstance(sock, ssl.SSLSocket):
        # uvloop would write to its file descriptor, so that the request would go out in plain text.
        raise InvalidRequest(
            "sock is a socket without TLS, not an ssl.SSLSocket: "
            "pass the socket before wrap_socket(), a wss URL, and ssl=context"
        )
