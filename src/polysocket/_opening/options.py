"""The options of ``connect``: one table of their names, types and defaults."""

from __future__ import annotations

import dataclasses
import os
import socket
import ssl
from typing import Any, TypedDict

from polysocket._opening.hints import hint
from polysocket._opening.transport import Transport
from polysocket.compression import Deflate
from polysocket.errors import (
    InvalidRequest,
)
from polysocket.proxy import ProxySetting
from polysocket.request import Request, basic_request

__all__ = ["ConnectOptions"]


class ConnectOptions(TypedDict, total=False):
    """What ``connect`` takes beside the URL or request; what is given here goes before the request's own."""

    compression: Deflate | None
    """What compression to offer; None for none. The default is ``Deflate()``."""
    max_message_size: int | None
    """The bound of a received message in bytes; None for none. The default is 1 MiB."""
    open_timeout: float | None
    """Seconds for connecting with the opening handshake; None for no limit. The default is 10."""
    close_timeout: float | None
    """Seconds for the closing handshake; None for no limit. The default is 10."""
    ssl: ssl.SSLContext | None
    """TLS settings for a wss URL; by default the system's certificate authorities are trusted."""
    sock: socket.socket | None
    """A connected socket to be used, and owned, by the websocket."""
    unix_path: str | os.PathLike[str] | None
    """The Unix socket to connect to, in place of the URL's host and port."""
    proxy: ProxySetting
    """The way to the server: a URL, a :class:`Proxy`, or a function that chooses one for each URL; None for none."""


def _prepare(target: str | Request, options: ConnectOptions) -> tuple[Request, Transport]:
    for name in options:
        if name not in ConnectOptions.__annotations__:
            raise TypeError(f"connect() got an unexpected keyword argument {name!r}{hint(name)}")
    given: dict[str, Any] = dict(options)
    unix_path, *others = (given.pop(name, None) for name in ("unix_path", "ssl", "sock", "proxy"))
    if not isinstance(unix_path, str | os.PathLike | None):
        raise InvalidRequest(f"unix_path is a path, not {unix_path!r}")
    context, sock, proxy = others
    transport = Transport(context, sock, None if unix_path is None else os.fspath(unix_path), proxy)
    request = target if isinstance(target, Request) else basic_request.get(target)
    request = dataclasses.replace(request, **given)
    if context is not None and request.url is not None and not request.url.secure:
        raise InvalidRequest("ssl is for wss URLs, and this is a ws URL")
    return request, transport
