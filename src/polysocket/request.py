"""Requests as values: the URL of a websocket, and its headers, subprotocols, compression and limits.

Each method of a :class:`Request` returns a new one and refuses wrong arguments, before anything is opened. Secrets
(credentials, cookies, query strings) stay out of every ``repr``.
"""

from __future__ import annotations

import base64
import inspect
import math
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import EllipsisType
from typing import Any, Final, TypeAlias

from polysocket._version import __version__
from polysocket.compression import Deflate
from polysocket.errors import InvalidRequest, InvalidURL
from polysocket.headers import Headers, is_field_value, is_token
from polysocket.url import WebSocketURL, ascii_origin

__all__ = [
    "SHORTEST_PING_INTERVAL",
    "HeaderFields",
    "Request",
    "authenticated",
    "basic_credentials",
    "basic_request",
    "check_fields",
    "check_request",
    "check_seconds",
    "check_timeout",
]

HeaderFields: TypeAlias = Mapping[str, str] | Iterable[tuple[str, str]]
"""Names and values of headers; pairs may repeat a name."""

# 1 MiB, the default of the websockets library too: nearly every message of an API fits, and 1000 peers take 1 GiB.
DEFAULT_MAX_MESSAGE_SIZE = 1024 * 1024

# Seconds for each handshake: room for three lost SYNs, which TCP repeats after 1, 3 and 7 seconds (RFC 6298 §2).
DEFAULT_TIMEOUT = 10

# Seconds between the Pings of keepalive, and for their answers: those of the websockets library, too. Proxies and NATs
# drop connections that are idle for longer, at 30 to 60 seconds.
DEFAULT_PING_INTERVAL = 20
DEFAULT_PING_TIMEOUT = 20

# Seconds. Pings more often than that measure nothing, and keep a core busy: the interval was meant in another unit.
SHORTEST_PING_INTERVAL = 0.001

# The largest int that can be added to the time of a clock, which is a float.
LARGEST = sys.float_info.max

# More than any sound server needs: the limit ends a cycle of redirects (RFC 9110 §15.4).
DEFAULT_MAX_REDIRECTS = 10

_DEFAULT_COMPRESSION = Deflate()

DEFAULT_USER_AGENT: Final = f"polysocket/{__version__}"

_is_cookie_value = re.compile(r'"?[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*"?').fullmatch  # RFC 6265 §4.1.1

_OWN_HEADERS = {
    "sec-websocket-protocol": "name subprotocols with subprotocols=… or .subprotocol()",
    "sec-websocket-extensions": "choose compression with compression=… or .compress()",
    "sec-websocket-key": "the handshake makes it",
    "sec-websocket-version": "the handshake sets it",
    "sec-websocket-accept": "only a server sends it",
    "connection": "the handshake sets it",
    "upgrade": "the handshake sets it",
    "content-length": "an upgrade has no body",
    "transfer-encoding": "an upgrade has no body",
}


@dataclass(frozen=True, slots=True)
class Request:
    """An immutable request for a websocket; begin with :data:`basic_request` (sttp's ``basicRequest``).

    ``open_timeout`` bounds the connection with its opening handshake, ``close_timeout`` the closing handshake, in
    seconds; ``max_message_size`` bounds a received message, in bytes after inflating. None means no bound.
    ``ping_interval`` and ``ping_timeout`` are those of :meth:`keepalive`, in seconds. If ``auto_pong`` is False, a Ping
    is answered only by a caller that receives it.
    ``user_agent`` is sent if ``headers`` has no ``User-Agent``; None sends none. ``auth`` is a function that returns
    headers; :meth:`authenticate` sets it.
    """

    url: WebSocketURL | None = None
    headers: Headers = field(default_factory=Headers)
    subprotocols: tuple[str, ...] = ()
    compression: Deflate | None = _DEFAULT_COMPRESSION
    max_redirects: int = DEFAULT_MAX_REDIRECTS
    open_timeout: float | None = DEFAULT_TIMEOUT
    close_timeout: float | None = DEFAULT_TIMEOUT
    max_message_size: int | None = DEFAULT_MAX_MESSAGE_SIZE
    ping_interval: float | None = DEFAULT_PING_INTERVAL
    ping_timeout: float | None = DEFAULT_PING_TIMEOUT
    auto_pong: bool = True
    user_agent: str | None = DEFAULT_USER_AGENT
    auth: Callable[[], HeaderFields] | None = None

    def __post_init__(self) -> None:
        if self.compression is not None and not isinstance(self.compression, Deflate):
            raise InvalidRequest(f"compression is a Deflate or None, not {self.compression!r}")
        if self.url is not None and not isinstance(self.url, WebSocketURL):
            raise InvalidRequest(f"url is a WebSocketURL, not {type(self.url).__name__}: give a str to .get(url)")
        if not isinstance(self.headers, Headers):
            raise InvalidRequest(f"headers is a Headers, not {type(self.headers).__name__}: add each with .header()")
        if type(self.auto_pong) is not bool:
            raise InvalidRequest(f"auto_pong is True or False, not {self.auto_pong!r}")
        if not isinstance(self.subprotocols, tuple):
            raise InvalidRequest(f"subprotocols is a tuple, not {self.subprotocols!r}: add each with .subprotocol()")
        for name in ("open_timeout", "close_timeout", "ping_interval", "ping_timeout"):
            seconds = getattr(self, name)
            is_usual = type(seconds) in (int, float) and SHORTEST_PING_INTERVAL <= seconds < LARGEST
            if not is_usual and seconds is not None:
                _check_limit(name, seconds)
        for name, least, unit in (("max_message_size", 1, " byte"), ("max_redirects", 0, "")):
            number = getattr(self, name)
            if name == "max_message_size" and number is None:
                continue
            if type(number) is not int:
                raise InvalidRequest(f"{name} is a whole number, not {number!r}")
            if number < least:
                raise InvalidRequest(f"{name} must be at least {least}{unit}, not {number!r}")

    @property
    def method(self) -> str:
        """Always GET: an opening handshake has no other (RFC 6455 §4.1)."""
        return "GET"

    def get(self, url: str) -> Request:
        """Set the URL; its user and password become Basic auth. Raises :class:`InvalidURL`."""
        parsed = WebSocketURL.parse(url)
        if parsed.credentials is None:
            return replace(self, url=parsed)
        return replace(self, url=replace(parsed, credentials=None)).basic_auth(*parsed.credentials)

    def header(self, name: str, value: str, *, replace_existing: bool = False) -> Request:
        """Add a header, or replace all headers of its name; raises :class:`InvalidRequest`."""
        _check_header(name, value)
        kept = self.headers.without(name) if replace_existing else self.headers
        return replace(self, headers=Headers([*kept.pairs, (name, value)]))

    def with_headers(self, headers: HeaderFields, *, replace_existing: bool = False) -> Request:
        """Add many headers, or replace all headers of their names; raises :class:`InvalidRequest`."""
        added = _checked_headers("headers", headers)
        kept = self.headers.without(*added) if replace_existing else self.headers
        return replace(self, headers=Headers([*kept.pairs, *added.pairs]))

    def subprotocol(self, *names: str) -> Request:
        """Offer more subprotocols, the preferred one first (RFC 6455 §1.9); raises :class:`InvalidRequest`."""
        subprotocols = (*self.subprotocols, *names)
        _check_subprotocols(subprotocols)
        return replace(self, subprotocols=subprotocols)

    def origin(self, origin: str) -> Request:
        """Set the Origin header, as a browser's page would (RFC 6454): its host is sent in ASCII, as in a URL."""
        _check_text("the value given for header Origin", origin)
        if not origin.isascii():
            try:
                origin = ascii_origin(origin)
            except InvalidURL as error:
                raise InvalidRequest(f"the origin can't be used: {error}") from None
        return self.header("Origin", origin, replace_existing=True)

    def basic_auth(self, user: str, password: str) -> Request:
        """Authenticate by Basic auth (RFC 7617), in UTF-8; sttp's ``auth.basic``."""
        _check_text("the user", user)
        _check_text("the password", password)
        return self.header("Authorization", basic_credentials(user, password), replace_existing=True)

    def bearer_auth(self, token: str) -> Request:
        """Authenticate by a Bearer token (RFC 6750); sttp's ``auth.bearer``."""
        _check_text("the token", token)
        return self.header("Authorization", f"Bearer {token}", replace_existing=True)

    def authenticate(self, make_headers: Callable[[], HeaderFields] | None) -> Request:
        """Call a function for the headers of each attempt to open a websocket, as tokens that expire need.

        The function is a plain one, in every flavour. It must not block an event loop. Its headers replace those of the
        same names. They go to the first origin only. None sets no function.
        """
        if make_headers is not None:
            _check_function(make_headers)
        return replace(self, auth=make_headers)

    def identify(self, user_agent: str | None) -> Request:
        """Set the User-Agent header (RFC 9110 §10.1.5), which is polysocket's by default; None sends none."""
        if user_agent is not None:
            _check_header("User-Agent", user_agent)
        return replace(self, headers=self.headers.without("User-Agent"), user_agent=user_agent)

    def cookie(self, name: str, value: str) -> Request:
        """Add a cookie to the one Cookie header (RFC 6265 §4.2)."""
        _check_text("a cookie's name", name)
        _check_text(f"the value of cookie {name}", value)
        if not is_token(name) or not _is_cookie_value(value):
            raise InvalidRequest(f"the cookie {name!r} has a character that cookies do not allow")
        cookies = [*self.headers.get_all("Cookie"), f"{name}={value}"]
        return self.header("Cookie", "; ".join(cookies), replace_existing=True)

    def compress(self, compression: Deflate | None) -> Request:
        """Choose the compression to offer; None offers none."""
        return replace(self, compression=compression)

    def timeouts(
        self,
        *,
        open: float | EllipsisType | None = ...,  # noqa: A002
        close: float | EllipsisType | None = ...,
    ) -> Request:
        """Bound the opening, with its handshake, and the closing, in seconds; None for no bound.

        A bound that is not given stays as it is.
        """
        return replace(
            self,
            open_timeout=self.open_timeout if open is ... else open,
            close_timeout=self.close_timeout if close is ... else close,
        )

    def keepalive(
        self, *, interval: float | EllipsisType | None = ..., timeout: float | EllipsisType | None = ...
    ) -> Request:
        """Send a Ping every ``interval`` seconds, and end a websocket whose peer is silent for ``timeout`` after it.

        An interval of None turns keepalive off: then nothing is read, and no Ping is answered, while no caller waits. A
        timeout of None never ends the websocket. What is not given stays as it is.
        """
        return replace(
            self,
            ping_interval=self.ping_interval if interval is ... else interval,
            ping_timeout=self.ping_timeout if timeout is ... else timeout,
        )

    def answer_pings(self, by_itself: bool) -> Request:
        """Choose whether a Ping is answered as it is read, or only by a caller that receives it (``pongOnPing``)."""
        return replace(self, auto_pong=by_itself)

    def limit_message_size(self, size: int | None) -> Request:
        """Bound a received message, in bytes after inflating; None for no bound."""
        return replace(self, max_message_size=size)

    def follow_redirects(self, limit: int) -> Request:
        """Follow at most ``limit`` redirects; 0 for none. Credentials and cookies go to the first origin only."""
        return replace(self, max_redirects=limit)

    def __repr__(self) -> str:
        url = "?" if self.url is None else str(self.url)
        extra = f", subprotocols={list(self.subprotocols)}" if self.subprotocols else ""
        if self.auth is not None:
            extra += ", auth=…"
        return f"Request(GET {url}, {self.headers!r}{extra})"


def authenticated(request: Request) -> Request:
    """Return a request with the headers that its ``auth`` returns now; an error of that function passes.

    Raises :class:`InvalidRequest` if the function does not return headers.
    """
    if request.auth is None:
        return request
    _check_function(request.auth)
    made: Any = request.auth()
    if inspect.iscoroutine(made):
        made.close()
        raise InvalidRequest("auth is a plain function that returns headers, and this one returned a coroutine")
    return request.with_headers(_checked_headers("the result of auth()", made), replace_existing=True)


def basic_credentials(user: str, password: str) -> str:
    """Return the value of a header for Basic auth (RFC 7617), in UTF-8; raises :class:`InvalidRequest`."""
    if ":" in user:
        raise InvalidRequest("a user name with ':' in it can't be sent by Basic auth")
    try:
        token = base64.b64encode(f"{user}:{password}".encode()).decode("ascii")
    except UnicodeEncodeError:  # It quotes the password, so it is not chained.
        raise InvalidRequest("the user or the password has a character that UTF-8 can't encode") from None
    return f"Basic {token}"


def check_request(name: str, value: object) -> None:
    """Raise :class:`InvalidRequest` unless the argument is a request."""
    if not isinstance(value, Request):
        raise InvalidRequest(f"{name} is a Request, not {type(value).__name__}")


def check_timeout(seconds: object, name: str = "timeout") -> None:
    """Raise :class:`InvalidRequest` unless ``seconds`` is a number or None."""
    is_float = isinstance(seconds, float) and not math.isnan(seconds)
    is_int = isinstance(seconds, int) and not isinstance(seconds, bool)
    if isinstance(seconds, int) and is_int and abs(seconds) > LARGEST:
        raise InvalidRequest(f"{name} is a number of seconds, or None for no {_off(name)}; not an int that large")
    if not (seconds is None or is_float or is_int):
        raise InvalidRequest(f"{name} is a number of seconds, or None for no {_off(name)}; not {seconds!r}")


def check_seconds(seconds: object) -> None:
    """Raise :class:`InvalidRequest` unless ``seconds`` is a number."""
    if seconds is None:
        raise InvalidRequest("seconds is a number of seconds, not None")
    check_timeout(seconds, "seconds")


def _check_limit(name: str, seconds: Any) -> None:
    """Raise :class:`InvalidRequest` unless ``seconds`` is a number above 0."""
    check_timeout(seconds, name)
    if not seconds > 0:
        raise InvalidRequest(f"{name} must be above 0 seconds, or None for no {_off(name)}; not {seconds!r}")
    if name == "ping_interval" and seconds < SHORTEST_PING_INTERVAL:
        least = f"{name} must be at least {SHORTEST_PING_INTERVAL} seconds"
        raise InvalidRequest(f"{least}, or None for no {_off(name)}; not {seconds!r}")


def _off(name: str) -> str:
    """Return what None turns off."""
    return "Pings" if name == "ping_interval" else "limit"


def check_fields(request: Request) -> None:
    """Raise :class:`InvalidRequest` if a request was made, or unpickled, with fields that its methods refuse."""
    if request.url is not None and not request.url.host.isascii():  # getaddrinfo() would encode it by IDNA 2003.
        raise InvalidRequest("the host of the URL is not in ASCII: make the URL with WebSocketURL.parse()")
    for name, value in request.headers.pairs:
        _check_header(name, value)
    if request.subprotocols:
        _check_subprotocols(request.subprotocols)
    if request.user_agent is not None and request.user_agent is not DEFAULT_USER_AGENT:
        _check_header("User-Agent", request.user_agent)


def _checked_headers(what: str, fields: HeaderFields) -> Headers:
    """Return the fields as headers. An error names no value, which may be a secret."""
    try:
        headers = Headers(fields)
        for name, value in headers.pairs:
            _check_header(name, value)
    except (TypeError, ValueError) as error:
        if isinstance(error, InvalidRequest):
            raise
        text = f"{what} has names with values, such as {{'X-Name': 'value'}}; not {type(fields).__name__}"
        raise InvalidRequest(text) from None
    return headers


def _check_header(name: str, value: str) -> None:
    _check_text("a header's name", name)
    _check_text(f"the value given for header {name}", value)
    if not is_token(name):
        raise InvalidRequest(f"{name!r} is not a header name")
    if name.lower() in _OWN_HEADERS:
        raise InvalidRequest(f"the {name} header can't be set by hand: {_OWN_HEADERS[name.lower()]}")
    if not is_field_value(value):
        raise InvalidRequest(f"the value given for header {name} has a character that HTTP does not allow")


def _check_subprotocols(names: tuple[str, ...]) -> None:
    for position, name in enumerate(names):
        _check_text("a subprotocol's name", name)
        if not is_token(name):
            raise InvalidRequest(f"{name!r} is not a subprotocol name")
        if name in names[:position]:
            raise InvalidRequest(f"subprotocol {name!r} is offered twice")


def _check_function(auth: object) -> None:
    if not callable(auth):
        raise InvalidRequest(f"auth is a function that returns headers, not {type(auth).__name__}")


def _check_text(what: str, value: object) -> None:
    if not isinstance(value, str):
        raise InvalidRequest(f"{what} is a str, not {type(value).__name__}")


basic_request: Request = Request()
"""The request to begin with: no URL, no headers, default limits."""
