"""The options of a connection to the server: its place, a proxy, a Unix or given socket, TLS settings, its log.

``connect`` checks them before anything is opened; :mod:`polysocket._opening.dialer` uses them.
"""

from __future__ import annotations

import re
import socket
import sys
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from polysocket.errors import InvalidRequest, InvalidURL
from polysocket.observers.logging import check_logger
from polysocket.proxy import ProxySetting, as_proxy, check_client_context, system_proxy
from polysocket.url import ascii_host

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
    proxy: ProxySetting = system_proxy
    logger: logging.Logger | logging.LoggerAdapter[Any] | None = None
    server_hostname: str | None = None
    host: str | None = None
    port: int | None = None
    local_address: tuple[str, int] | None = None

    def __post_init__(self) -> None:
        if self.ssl is not None:
            check_client_context(self.ssl)
        if self.logger is not None:
            check_logger(self.logger)
        if self.sock is not None:
            _check_plain(self.sock)
        if self.unix_path is not None and (not self.unix_path or "\0" in self.unix_path[1:]):
            # The system would end the path at a NUL, unless that begins an abstract address.
            raise InvalidRequest(f"unix_path is a path without NUL, or an abstract address, not {self.unix_path!r}")
        set_ = object.__setattr__  # as dataclasses do for a frozen class
        for name, host in (("host", self.host), ("server_hostname", self.server_hostname)):
            if host is not None:
                set_(self, name, _checked_host(name, host))
        if self.port is not None and (type(self.port) is not int or not 0 < self.port < 65536):
            raise InvalidRequest(f"port is a number from 1 to 65535, not {self.port!r}")
        if self.local_address is not None:
            set_(self, "local_address", _checked_address(self.local_address))
        if self.is_fixed:
            self._check_fixed()
        elif self.proxy is not None and not callable(self.proxy):
            set_(self, "proxy", as_proxy(self.proxy))  # to be checked now, and redacted in repr

    def _check_fixed(self) -> None:
        fixed = "unix_path" if self.sock is None else "sock"
        if self.sock is not None and self.unix_path is not None:
            raise InvalidRequest("sock and unix_path exclude each other")
        if self.proxy is system_proxy:
            object.__setattr__(self, "proxy", None)
        for name in ("proxy", "host", "port", "local_address"):
            if getattr(self, name) is not None:
                raise InvalidRequest(f"{name} and {fixed} exclude each other")

    @property
    def is_fixed(self) -> bool:
        """Whether the options name one address, so that a redirect can't be followed."""
        return self.sock is not None or self.unix_path is not None

    @property
    def names_server(self) -> bool:
        """Whether the options name a server instead of the URL's: they are for the origin of the first URL only."""
        return self.host is not None or self.port is not None or self.server_hostname is not None


def _checked_host(name: str, host: object) -> str:
    """Return a host in ASCII, without brackets; raises :class:`InvalidRequest`."""
    if not isinstance(host, str):
        raise InvalidRequest(f"{name} is a str, not {host!r}")
    if host.startswith("[") and host.endswith("]"):  # as in a URL, with the "%" of a zone percent-encoded
        bare = host[1:-1].replace("%25", "%", 1)
    else:  # as from getaddrinfo(): a zone may be the number 25, or begin with it
        bare = re.sub(r"%25(?=\D)", "%", host, count=1)
    try:
        return ascii_host(bare, host)
    except InvalidURL as error:
        raise InvalidRequest(f"{name} can't be used: {error}") from None


def _checked_address(address: object) -> tuple[str, int]:
    """Return the IP address and the port of a ``local_address``; raises :class:`InvalidRequest`."""
    match address:
        case str() as host:
            port = 0
        case (str() as host, int() as port):
            pass
        case _:
            host, port = "", -1
    try:
        ip_address(host)
        if 0 <= port < 65536:
            return host, port
    except ValueError:
        pass
    raise InvalidRequest(f"local_address is an IP address, or a tuple of one and a port, not {address!r}")


def _check_plain(sock: object) -> None:
    """Raise :class:`InvalidRequest` unless bytes that are sent on the socket go out as they are."""
    if not isinstance(sock, socket.socket):
        raise InvalidRequest(
            f"sock is a socket.socket, not {sock!r}: pass one such as socket.create_connection((host, port))"
        )
    ssl = sys.modules.get("ssl")  # An SSLSocket is there only if ssl was imported.
    if ssl is not None and isinstance(sock, ssl.SSLSocket):
        # uvloop would write to its file descriptor, so that the request would go out in plain text.
        raise InvalidRequest(
            "sock is a socket without TLS, not an ssl.SSLSocket: "
            "pass the socket before wrap_socket(), a wss URL, and ssl=context"
        )
