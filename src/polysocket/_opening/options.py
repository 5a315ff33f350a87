"""The options of ``connect``: one table of their names, types and meanings; the defaults are a request's.

:func:`shows_options` writes the table into the signature and the docstring of each ``connect``. An option of another
library's ``connect`` is refused with a hint.
"""

from __future__ import annotations

import dataclasses
import inspect
import os
import re
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypedDict, TypeVar, cast

from polysocket._opening.transport import Transport
from polysocket.compression import Deflate
from polysocket.errors import InvalidRequest
from polysocket.proxy import ProxySetting
from polysocket.request import Request, basic_request

if TYPE_CHECKING:
    import logging
    import ssl

__all__ = ["OPTION_DOCS", "ConnectOptions", "prepare", "shows_options"]

C = TypeVar("C", bound=Callable[..., object])


class ConnectOptions(TypedDict, total=False):
    """The options of ``connect``, which override the settings of its request.

    Args:
        compression: The compression to offer; None offers none.
        max_message_size: The largest message to receive, in bytes after inflating; None for no limit.
        open_timeout: Seconds for connecting, with the opening handshake; None for no limit.
        close_timeout: Seconds for the closing handshake; None for no limit.
        ssl: TLS settings for a wss URL. The default context trusts the system's certificate authorities.
        sock: A connected stream socket without TLS to use. The websocket then owns the socket.
        unix_path: The Unix socket to connect to, instead of the URL's host and port.
        proxy: The proxy to connect via: a URL, a :class:`Proxy`, or a function that chooses one for each URL.
        logger: The logger, or LoggerAdapter, of the websocket's log at DEBUG. The default logger is ``polysocket``.
    """

    compression: Deflate | None
    max_message_size: int | None
    open_timeout: float | None
    close_timeout: float | None
    ssl: ssl.SSLContext | None
    sock: socket.socket | None
    unix_path: str | os.PathLike[str] | None
    proxy: ProxySetting
    logger: logging.Logger | logging.LoggerAdapter[Any] | None


_ARGS: Final = inspect.cleandoc(ConnectOptions.__doc__ or "").partition("\n\n")[2]

_HEADING: Final = "Args:\n"

OPTION_DOCS: Final[dict[str, str]] = dict(re.findall(r"^    (\w+): (.+)$", _ARGS, re.MULTILINE))
"""The meaning of each option."""


def shows_options(connect: C) -> C:
    """Show each option with its default in the signature and the docstring of a flavour's ``connect``.

    Parameters that the function has besides come first.
    """
    signature = inspect.signature(connect)
    *own, _ = signature.parameters.values()
    options = [
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=default_of(name), annotation=annotation.__forward_arg__
        )
        for name, annotation in ConnectOptions.__annotations__.items()
    ]
    cast("Any", connect).__signature__ = signature.replace(parameters=[*own, *options])
    if connect.__doc__ is not None:  # python -OO drops docstrings
        summary, separator, errors = inspect.cleandoc(connect.__doc__).partition("\n\nRaises:")
        args = f"\n{_ARGS.removeprefix(_HEADING)}" if _HEADING in summary else f"\n\n{_ARGS}"
        connect.__doc__ = f"{summary}{args}{separator}{errors}"
    return connect


def default_of(option: str) -> Any:
    """Return the default of an option of ``connect``: what a request and a transport begin with."""
    return getattr(basic_request, option, None)


def prepare(target: str | Request, options: ConnectOptions, caller: str = "connect") -> tuple[Request, Transport]:
    """Return the request to send, and the transport to the server, for the arguments of the caller, a ``connect``.

    Raises TypeError for an unknown option, :class:`InvalidRequest` and :class:`InvalidURL`.
    """
    for name in options:
        if name not in ConnectOptions.__annotations__:
            raise TypeError(f"{caller}() got an unexpected keyword argument {name!r}{hint(name)}")
    given: dict[str, Any] = dict(options)
    context, sock, proxy = given.pop("ssl", None), given.pop("sock", None), given.pop("proxy", None)
    unix_path = given.pop("unix_path", None)
    if not isinstance(unix_path, str | os.PathLike | None):
        raise InvalidRequest(f"unix_path is a path, not {unix_path!r}")
    path = None if unix_path is None else os.fsdecode(cast("str | os.PathLike[str]", unix_path))
    transport = Transport(context, sock, path, proxy, given.pop("logger", None))
    request = target if isinstance(target, Request) else basic_request.get(target)
    if given:
        request = dataclasses.replace(request, **given)
    if context is not None and request.url is not None and not request.url.secure:
        raise InvalidRequest("ssl is for wss URLs, and this is a ws URL")
    return request, transport


_HEADERS: Final = "basic_request.header(name, value).get(url)"
_SUBPROTOCOLS: Final = "basic_request.subprotocol(name).get(url)"
_USER_AGENT: Final = 'basic_request.header("User-Agent", …).get(url)'
_KEEPALIVE: Final = "ping(timeout=…), which the program calls: nothing pings by itself"
_READING_AHEAD: Final = "the buffer of a backend's WebSocketHandler"

_HINTS: Final = {
    "additional_headers": _HEADERS,
    "extra_headers": _HEADERS,
    "header": _HEADERS,
    "headers": _HEADERS,
    "subprotocol": _SUBPROTOCOLS,
    "subprotocols": _SUBPROTOCOLS,
    "protocols": _SUBPROTOCOLS,
    "user_agent": _USER_AGENT,
    "user_agent_header": _USER_AGENT,
    "origin": "basic_request.origin(…).get(url)",
    "cookie": "basic_request.cookie(name, value).get(url)",
    "cookies": "basic_request.cookie(name, value).get(url)",
    "auth": "basic_request.basic_auth(user, password).get(url), or .bearer_auth(token)",
    "max_redirects": "basic_request.follow_redirects(limit).get(url)",
    "max_size": "max_message_size",
    "max_msg_size": "max_message_size",
    "compress": "compression",
    "timeout": "open_timeout, and timeout= of each receive and send",
    "ssl_context": "ssl",
    "sslopt": "ssl",
    "ping_interval": _KEEPALIVE,
    "ping_timeout": _KEEPALIVE,
    "heartbeat": _KEEPALIVE,
    "max_queue": _READING_AHEAD,
    "read_limit": _READING_AHEAD,
    "url": "the first argument, which has no name",
    "uri": "the first argument, which has no name",
}
"""Options of other libraries' ``connect``, each with its counterpart here."""


def hint(option: str) -> str:
    """Return the counterpart of an unknown option, as the end of an error's text; empty if none is known."""
    if option in _HINTS:
        return f"; for that there is {_HINTS[option]}"
    import difflib  # noqa: PLC0415 - for this error only

    similar = difflib.get_close_matches(option, ConnectOptions.__annotations__, 1)
    return f"; did you mean {similar[0]}?" if similar else ""
