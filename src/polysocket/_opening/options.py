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
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypedDict, TypeVar, cast

from polysocket._opening.transport import Transport
from polysocket.buffer import Buffer
from polysocket.compression import Deflate
from polysocket.errors import InvalidRequest
from polysocket.proxy import ProxySetting
from polysocket.request import Request, basic_request
from polysocket.url import WebSocketURL

if TYPE_CHECKING:
    import logging
    import ssl

__all__ = ["OPTION_DOCS", "ConnectOptions", "prepare", "shows_options"]

C = TypeVar("C", bound=Callable[..., object])

_DEFAULT_TRANSPORT: Final = Transport()

_NO_TARGET: Final[Any] = object()
"""The target of a call without one, such as ``connect(uri="ws://…")``: :func:`prepare` says what is wrong there."""


class ConnectOptions(TypedDict, total=False):
    """The options of ``connect``, which override the settings of its request.

    Args:
        headers: Headers to send; each replaces those of its name in the request.
        subprotocols: The subprotocols to offer, the preferred one first.
        origin: The Origin header, as a browser's page would send it.
        auth: A user and a password in a tuple, or a function that returns headers, called for each attempt.
        cookies: Cookies to send, by their names.
        user_agent: The User-Agent header; None sends none.
        compression: The compression to offer; None offers none.
        max_message_size: The largest message to receive, in bytes after inflating; None for no limit.
        max_redirects: The number of redirects to follow.
        open_timeout: Seconds for connecting, with the opening handshake; None for no limit.
        close_timeout: Seconds for the closing handshake; None for no limit.
        ping_interval: Seconds between the Pings that keep the connection alive; None for no keepalive.
        ping_timeout: Seconds of silence after such a Ping until the peer counts as dead; None for no limit.
        auto_pong: Answer each Ping as it is read. If False, a caller that receives the Ping answers it.
        buffer: A buffer to read ahead into, in the background; None reads no further than callers need.
        ssl: TLS settings for a wss URL. The default context trusts the system's certificate authorities.
        server_hostname: The name in SNI and in the server's certificate, instead of the URL's host.
        host: The host to connect to, instead of the URL's. The Host header and SNI stay the URL's.
        port: The port to connect to, instead of the URL's.
        local_address: The IP address to connect from, or a tuple of an IP address and a port.
        sock: A connected stream socket without TLS to use. The websocket then owns the socket.
        unix_path: The Unix socket to connect to, instead of the URL's host and port.
        proxy: The proxy to connect via: a URL, a :class:`Proxy`, a function that chooses one for each URL, or None.
        logger: The logger, or LoggerAdapter, of the websocket's log at DEBUG. The default logger is ``polysocket``.
    """

    headers: Mapping[str, str] | Iterable[tuple[str, str]] | None
    subprotocols: Sequence[str] | None
    origin: str | None
    auth: tuple[str, str] | Callable[[], Mapping[str, str] | Iterable[tuple[str, str]]] | None
    cookies: Mapping[str, str] | None
    user_agent: str | None
    compression: Deflate | None
    max_message_size: int | None
    max_redirects: int
    open_timeout: float | None
    close_timeout: float | None
    ping_interval: float | None
    ping_timeout: float | None
    auto_pong: bool
    buffer: Buffer | None
    ssl: ssl.SSLContext | None
    server_hostname: str | None
    host: str | None
    port: int | None
    local_address: str | tuple[str, int] | None
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

    Parameters that the function has besides come first. A call without a target gets as far as :func:`prepare`, since
    Python itself would say that an argument is missing, and not name the option that was meant for it.
    """
    signature = inspect.signature(connect)
    *own, _ = signature.parameters.values()
    options = [
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=default_of(name), annotation=annotation.__forward_arg__
        )
        for name, annotation in ConnectOptions.__annotations__.items()
    ]
    shown = cast("Any", connect)
    shown.__signature__ = signature.replace(parameters=[*own, *options])
    shown.__defaults__ = (_NO_TARGET,)
    if connect.__doc__ is not None:  # python -OO drops docstrings
        summary, separator, errors = inspect.cleandoc(connect.__doc__).partition("\n\nRaises:")
        args = f"\n{_ARGS.removeprefix(_HEADING)}" if _HEADING in summary else f"\n\n{_ARGS}"
        connect.__doc__ = f"{summary}{args}{separator}{errors}"
    return connect


def default_of(option: str) -> Any:
    """Return the default of an option of ``connect``: what a request and a transport begin with."""
    if option in inspect.signature(_with_options).parameters:
        return None
    return getattr(basic_request, option, getattr(_DEFAULT_TRANSPORT, option, None))


def prepare(
    target: str | Request,
    options: ConnectOptions,
    caller: str = "connect",
    *,
    base: Request = basic_request,
    transport: Transport = _DEFAULT_TRANSPORT,
) -> tuple[Request, Transport]:
    """Return the request to send, and the transport to the server, for the arguments of the caller, a ``connect``.

    ``base`` is the request that a URL begins with, and ``transport`` has the settings that the options override.
    Raises TypeError for an unknown option or no target, :class:`InvalidRequest` and :class:`InvalidURL`.
    """
    if target is _NO_TARGET:
        raise _no_target(options, caller)
    if not options:
        return target if isinstance(target, Request) else base.get(target), transport
    of_request: dict[str, Any] = {}
    if isinstance(target, Request):
        base = target
    elif (url := WebSocketURL.parse(target)).credentials is None:
        of_request["url"] = url  # Then one copy of the request is enough, which takes 4 µs.
    else:
        base = base.get(target)
    of_transport: dict[str, Any] = {}
    for name, value in options.items():
        if name not in ConnectOptions.__annotations__:
            raise _unknown(name, caller)
        if name == "buffer":  # It is for the open websocket.
            if not isinstance(value, Buffer | None):
                raise InvalidRequest(f"buffer is a Buffer or None, not {value!r}")
            continue
        (of_transport if name in Transport.__slots__ else of_request)[name] = value
    request = _with_options(base, **of_request) if of_request else base
    if of_transport:
        transport = _overridden(transport, of_transport, request.url)
    return request, transport


def _overridden(transport: Transport, given: dict[str, Any], url: WebSocketURL | None) -> Transport:
    """Return the transport with the options that override its settings, which must suit the URL."""
    path = given.get("unix_path")
    if path is not None:
        if not isinstance(path, str | os.PathLike):
            raise InvalidRequest(f"unix_path is a path, not {path!r}")
        given["unix_path"] = os.fsdecode(cast("str | os.PathLike[str]", path))
    if given.get("sock") is not None or path is not None:
        given.setdefault("proxy", None)  # A backend may have one.
    transport = dataclasses.replace(transport, **given)  # It checks the values.
    if url is not None and not url.secure:
        for name in ("ssl", "server_hostname"):
            if given.get(name) is not None:
                raise InvalidRequest(f"{name} is for wss URLs, and this is a ws URL")
    return transport


def _with_options(
    request: Request,
    *,
    headers: Any = None,
    subprotocols: Any = None,
    origin: Any = None,
    auth: Any = None,
    cookies: Any = None,
    **fields: Any,
) -> Request:
    """Return the request with the options that override its settings. An option that is None changes nothing."""
    if "user_agent" in fields:
        request = request.identify(fields.pop("user_agent"))
    if fields:
        request = dataclasses.replace(request, **fields)
    if headers is not None:
        request = request.with_headers(headers, replace_existing=True)
    if subprotocols is not None:
        if isinstance(subprotocols, str) or not isinstance(subprotocols, Iterable):
            raise InvalidRequest(f"subprotocols is a list of names, not {subprotocols!r}")
        request = dataclasses.replace(request, subprotocols=()).subprotocol(*cast("Iterable[str]", subprotocols))
    if origin is not None:
        request = request.origin(origin)
    if cookies is not None:
        request = _with_cookies(request, cookies)
    match auth:
        case None:
            return request
        case (user, password):
            return request.authenticate(None).basic_auth(user, password)
        case _ if callable(auth):
            return request.authenticate(cast("Any", auth))
        case _:
            text = "auth is a tuple of user and password, or a function that returns headers"
            raise InvalidRequest(f"{text}, not {type(auth).__name__}")


def _with_cookies(request: Request, cookies: Any) -> Request:
    """Add the cookies; each replaces the request's cookie of its name."""
    if not isinstance(cookies, Mapping):
        raise InvalidRequest(f"cookies is a mapping of names to values, not {type(cookies).__name__}")
    pairs = [pair for header in request.headers.get_all("Cookie") for pair in header.split("; ")]
    kept = [pair for pair in pairs if pair.partition("=")[0] not in cookies]
    request = dataclasses.replace(request, headers=request.headers.without("Cookie"))
    if kept:
        request = request.header("Cookie", "; ".join(kept))
    for name, value in cast("Mapping[str, str]", cookies).items():
        request = request.cookie(name, value)
    return request


_READING_AHEAD: Final = "buffer, which takes Buffer.bounded(frames)"
_CERTIFICATES: Final = "ssl, which takes an ssl.SSLContext"
_PROXY: Final = "proxy, which takes a URL such as http://user:password@host:port, or a Proxy"
_QUERY: Final = "the query of the URL"
_POLICY: Final = "reconnect(…, policy=Backoff(…)), which opens the next websocket whenever one has ended"
_ATTEMPTS: Final = "reconnect(…, policy=Backoff(attempts=…))"
_LOOP: Final = "the loop over the websocket, which yields each message"
_FRAMES: Final = "ws.receive(), which returns Pings and Pongs, too"

_HINTS: Final = {
    "additional_headers": "headers",
    "extra_headers": "headers",
    "header": "headers",
    "subprotocol": "subprotocols",
    "protocols": "subprotocols",
    "user_agent_header": "user_agent",
    "cookie": "cookies",
    "follow_redirects": "max_redirects",
    "redirect_limit": "max_redirects",
    "max_size": "max_message_size",
    "max_msg_size": "max_message_size",
    "max_message_size_bytes": "max_message_size",
    "compress": "compression",
    "timeout": "open_timeout, and timeout= of each receive and send",
    "connect_timeout": "open_timeout",
    "disconnect_timeout": "close_timeout",
    "receive_timeout": "timeout= of each receive",
    "read_timeout": "timeout= of each receive",
    "send_timeout": "timeout= of each send",
    "write_timeout": "timeout= of each send",
    "verify": _CERTIFICATES,
    "verify_ssl": _CERTIFICATES,
    "cert": _CERTIFICATES,
    "ssl_context": "ssl",
    "sslopt": _CERTIFICATES,
    "sockopt": "sock, which takes a connected socket with options of its own",
    "socket": "sock",
    "path": "unix_path",
    "local_addr": "local_address",
    "source_address": "local_address",
    "proxies": _PROXY,
    "proxy_auth": _PROXY,
    "proxy_headers": _PROXY,
    "proxy_type": _PROXY,
    "http_proxy_host": _PROXY,
    "http_proxy_port": _PROXY,
    "http_proxy_auth": _PROXY,
    "http_no_proxy": "proxy=None, and the environment's variable no_proxy",
    "trust_env": "proxy=None, which ignores the environment",
    "params": _QUERY,
    "autoping": "auto_pong",
    "ping": "ping_interval and ping_timeout",
    "keepalive": "ping_interval and ping_timeout",
    "heartbeat": "ping_interval and ping_timeout",
    "heartbeat_interval": "ping_interval",
    "keepalive_ping_interval_seconds": "ping_interval",
    "keepalive_ping_timeout_seconds": "ping_timeout",
    "max_queue": _READING_AHEAD,
    "queue_size": _READING_AHEAD,
    "message_queue_size": _READING_AHEAD,
    "read_limit": _READING_AHEAD,
    "url": "the first argument, which has no name",
    "uri": "the first argument, which has no name",
    "url_or_request": "the first argument, which has no name",
    "use_ssl": "the URL, which begins with wss:// or ws://",
    "hostname": "server_hostname",
    "cookie_jar": "cookies, which takes a mapping of names to values",
    "suppress_origin": "origin, without which none is sent",
    "extensions": "compression, which takes a Deflate or None",
    "fingerprint": "ws.tls, which has the peer's certificate",
    "raise_for_status": "the UpgradeRejected that connect raises for every answer but 101",
    "write_limit": "backpressure: a send waits until the network takes its bytes",
    "create_connection": "a class of your own that holds the websocket",
    "transport": "sock, unix_path or proxy, and polysocket.testing for tests",
    "proxy_ssl": "proxy, which takes Proxy(url, ssl=…)",
    "proxy_server_hostname": "proxy, whose URL names the host in the proxy's certificate",
    "http_proxy_timeout": "open_timeout, which includes the proxy",
    "on_message": _LOOP,
    "on_data": _LOOP,
    "on_ping": _FRAMES,
    "on_pong": _FRAMES,
    "on_open": "the code after connect, and reconnect(…, on_open=…)",
    "on_reconnect": "reconnect(…, on_open=…)",
    "on_error": "the exception that each call raises",
    "on_close": "ws.close_info after the loop over the websocket",
    "reconnect": "reconnect(…), a function like connect",
    "policy": "reconnect(…, policy=…)",
    "is_final": "reconnect(…, is_final=…)",
    "process_exception": "reconnect(…, is_final=…)",
    "backoff": _POLICY,
    "delay": _POLICY,
    "delays": _POLICY,
    "reconnect_delay": _POLICY,
    "reconnect_delays": _POLICY,
    "reconnect_interval": _POLICY,
    "retry": _POLICY,
    "attempts": _ATTEMPTS,
    "max_attempts": _ATTEMPTS,
    "retries": _ATTEMPTS,
    "max_retries": _ATTEMPTS,
}
"""Options of other libraries' ``connect``, each with its counterpart here."""

_SIMILARITY: Final = 0.75  # A slip in a name of 4 letters has it; difflib's default takes "on_pong" for "auto_pong".


def _no_target(options: ConnectOptions, caller: str) -> TypeError:
    for name in options:
        if name not in ConnectOptions.__annotations__:  # It may be another library's name of the target.
            return _unknown(name, caller)
    return TypeError(f"{caller}() missing 1 required positional argument: 'url_or_request'")


def _unknown(option: str, caller: str) -> TypeError:
    return TypeError(f"{caller}() got an unexpected keyword argument {option!r}{hint(option)}")


def hint(option: str) -> str:
    """Return the counterpart of an unknown option, as the end of an error's text; empty if none is known."""
    if option in _HINTS:
        return f"; for that there is {_HINTS[option]}"
    import difflib  # noqa: PLC0415 - for this error only

    similar = difflib.get_close_matches(option, ConnectOptions.__annotations__, 1, _SIMILARITY)
    return f"; did you mean {similar[0]}?" if similar else ""
