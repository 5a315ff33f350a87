"""Requests and responses as values: what to open, with what headers and limits, and what the server answered.

Values only: each call on a :class:`Request` gives a new one, and wrong input is refused here, before anything is
opened. Secrets (credentials, cookies, query strings) stay out of every ``repr``.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import EllipsisType
from typing import Generic, NamedTuple, TypeVar, cast
from urllib.parse import SplitResult, quote, unquote, urlsplit

from polysocket.errors import InvalidRequest, InvalidURL

__all__ = ["Deflate", "Headers", "Request", "Response", "WebSocketResponse", "WebSocketURL", "basic_request"]

R_co = TypeVar("R_co", covariant=True)

MIB = 1024 * 1024
DEFAULT_PORTS = {"ws": 80, "wss": 443}

# RFC 9110 §5.6.2 (token) and §5.5 (field values; h11 sends bytes, so one byte a character)
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
# RFC 6265 §4.1.1 (cookie-octet)
_COOKIE_VALUE = re.compile(r'"?[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*"?')
_SECRET = re.compile(
    "auth(?!enticate$)|cookie|token|secret|passw|session|credential|signature|csrf|xsrf|api-?key", re.IGNORECASE
)
_URLS = frozenset({"location", "content-location", "referer"})
_OWN_HEADERS = {
    "sec-websocket-protocol": "name subprotocols with .subprotocol()",
    "sec-websocket-extensions": "choose compression with .compress()",
    "sec-websocket-key": "the handshake makes it",
    "sec-websocket-version": "the handshake sets it",
    "sec-websocket-accept": "only a server sends it",
    "connection": "the handshake sets it",
    "upgrade": "the handshake sets it",
    "content-length": "an upgrade has no body",
    "transfer-encoding": "an upgrade has no body",
}


class Headers(Mapping[str, str]):
    """HTTP header fields in their order: names in any case, each may repeat.

    As a mapping, a repeated field's values are joined by ``", "`` (RFC 9110 §5.3); :meth:`get_all` gives them one by
    one (as ``Set-Cookie`` needs), and :attr:`pairs` has the fields as they were sent. ``repr`` hides secrets.
    """

    __slots__ = ("_pairs",)

    def __init__(self, fields: Mapping[str, str] | Iterable[tuple[str, str]] = ()) -> None:
        self._pairs: tuple[tuple[str, str], ...]
        if isinstance(fields, Headers):
            self._pairs = fields._pairs
        elif isinstance(fields, Mapping):
            self._pairs = tuple(cast("Mapping[str, str]", fields).items())
        else:
            self._pairs = tuple(fields)

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Names and values as they were sent, in their order."""
        return self._pairs

    def get_all(self, name: str) -> list[str]:
        """Every value of the field, in order; an empty list where there is none."""
        wanted = name.lower()
        return [value for key, value in self.pairs if key.lower() == wanted]

    def without(self, *names: str) -> Headers:
        """The same headers less all fields of these names."""
        unwanted = {name.lower() for name in names}
        return Headers(pair for pair in self.pairs if pair[0].lower() not in unwanted)

    def __getitem__(self, name: str) -> str:
        values = self.get_all(name)
        if not values:
            raise KeyError(name)
        return ", ".join(values)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(name.lower() for name, _ in self.pairs))

    def __len__(self) -> int:
        return len({name.lower() for name, _ in self.pairs})

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Headers):
            return NotImplemented
        return [(k.lower(), v) for k, v in self.pairs] == [(k.lower(), v) for k, v in other.pairs]

    def __hash__(self) -> int:
        return hash(tuple((name.lower(), value) for name, value in self.pairs))

    def __repr__(self) -> str:
        return f"Headers({[(name, _shown_value(name.lower(), value)) for name, value in self.pairs]!r})"


@dataclass(frozen=True, slots=True)
class WebSocketURL:
    """A ws or wss URL, taken apart (RFC 6455 §3); made by :meth:`parse`.

    ``host`` is in ASCII (IDNA) and without brackets; ``target`` is the *resource name*, ``path`` and ``query``.
    """

    scheme: str
    host: str
    port: int
    target: str
    credentials: tuple[str, str] | None = None

    @classmethod
    def parse(cls, url: str) -> WebSocketURL:
        """Take a URL apart; raises :class:`InvalidURL`, which says what is wrong with it."""
        parsed = parse_url(url, "WebSocket URL", DEFAULT_PORTS)
        try:
            target = quote(parsed.parts.path or "/", safe="/%!$&'()*+,;=:@~")
            if parsed.parts.query:
                target += "?" + quote(parsed.parts.query, safe="/%!$&'()*+,;=:@~?")
        except UnicodeEncodeError:  # It quotes the query, so it is not chained.
            raise InvalidURL(f"{parsed.shown!r} has a character that UTF-8 does not have") from None
        return cls(parsed.scheme, parsed.host, parsed.port, target, parsed.credentials)

    @property
    def secure(self) -> bool:
        """Whether it is a wss URL."""
        return self.scheme == "wss"

    @property
    def authority(self) -> str:
        """Host and, unless it is the scheme's own, port, as the Host header has them (RFC 6455 §4.1)."""
        return authority(self.host, None if self.port == DEFAULT_PORTS[self.scheme] else self.port)

    @property
    def path(self) -> str:
        """The path, which begins with ``/``, in ASCII as it is sent."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """The query, without its ``?``, in ASCII as it is sent; empty where there is none. It may be secret."""
        return self.target.partition("?")[2]

    def __str__(self) -> str:
        """The URL without credentials and query."""
        return f"{self.scheme}://{self.authority}{self.path}"

    def __repr__(self) -> str:
        return f"WebSocketURL({_without_secrets(f'{self.scheme}://{self.authority}{self.target}')!r})"


class ParsedURL(NamedTuple):
    """What all URLs have, checked; ``shown`` is the URL for a message, without its secrets."""

    scheme: str
    host: str
    port: int
    credentials: tuple[str, str] | None
    parts: SplitResult
    shown: str


def parse_url(url: str, kind: str, ports: Mapping[str, int]) -> ParsedURL:
    """Take a URL apart whose scheme is one of those in ``ports``; raises :class:`InvalidURL`."""
    if not isinstance(url, str):
        raise InvalidURL(f"a {kind} is a str, not {type(url).__name__}")
    shown = _without_secrets(url)
    if re.search(r"[\x00-\x20\x7f]", url):
        raise InvalidURL(f"{shown!r} has a space or control character in it")
    parts, host, port = _split(url, shown)
    scheme = parts.scheme.lower()
    if scheme not in ports:
        *others, last = (f"{each}://" for each in ports)
        raise InvalidURL(f"{shown!r} is no {kind}: it must begin with {', '.join(others)} or {last}")
    if not host:
        raise InvalidURL(f"{shown!r} names no host")
    if port == 0:
        raise InvalidURL(f"{shown!r} names port 0, to which nothing can connect")
    if "#" in url:
        raise InvalidURL(f"{shown!r} has a fragment ('#…'), which a {kind} may not have")
    credentials = None
    if parts.username is not None:
        credentials = unquote(parts.username), unquote(parts.password or "")
    return ParsedURL(scheme, _ascii_host(host, shown), port or ports[scheme], credentials, parts, shown)


def authority(host: str, port: int | None) -> str:
    """Host and port as they stand in a URL (RFC 3986 §3.2); None for no port."""
    bracketed = f"[{host}]" if ":" in host else host
    return bracketed if port is None else f"{bracketed}:{port}"


def basic_credentials(user: str, password: str) -> str:
    """The header's value for Basic auth (RFC 7617), in UTF-8; raises :class:`InvalidRequest`."""
    if ":" in user:
        raise InvalidRequest("a user name with ':' in it can't be sent by Basic auth")
    try:
        token = base64.b64encode(f"{user}:{password}".encode()).decode("ascii")
    except UnicodeEncodeError:  # It quotes the password, so it is not chained.
        raise InvalidRequest("the user or the password has a character that UTF-8 does not have") from None
    return f"Basic {token}"


def _split(url: str, shown: str) -> tuple[SplitResult, str | None, int | None]:
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError as error:
        if "@" in url:  # The error may quote what is secret, so it is neither shown nor chained.
            raise InvalidURL(f"{shown!r} is no URL: its host is none") from None
        raise InvalidURL(f"{shown!r} is no URL: {error}") from error
    try:
        port = parts.port
    except ValueError:
        number = "a port" if "@" in url else f"the port {parts.netloc.rpartition(':')[2]!r}"
        raise InvalidURL(f"{shown!r} names {number}, but a port is a number from 1 to 65535") from None
    return parts, host, port


def _ascii_host(host: str, shown: str) -> str:
    try:
        ascii_host = host if host.isascii() else host.encode("idna").decode("ascii")
    except UnicodeError as error:
        raise InvalidURL(f"{shown!r} has a host that is no domain name: IDNA does not know it") from error
    if not all(0 < len(label) < 64 for label in ascii_host.removesuffix(".").split(".")):  # RFC 1035 §2.3.4
        raise InvalidURL(f"{shown!r} has a host that is no domain name: each part has from 1 to 63 characters")
    if not re.fullmatch(r"[0-9A-Za-z.:_~!$&'()*+,;=%-]+", ascii_host):  # RFC 3986 §3.2.2
        raise InvalidURL(f"{shown!r} has a host that is no domain name: it has a character that no host has")
    return ascii_host


def _without_secrets(url: str) -> str:
    """The URL, whole or broken, without what may be credentials or a query."""
    url = re.sub(r"^((?:wss?|https?|socks5h?):)?/{0,2}.*@", r"\1//…@", url, flags=re.DOTALL)
    return re.sub(r"\?.*", "?…", url, flags=re.DOTALL)


def is_secret(name: str) -> bool:
    """Whether a header of this name may hold a secret: credentials and cookies, and what is named after such."""
    return _SECRET.search(name) is not None


def _shown_value(name: str, value: str) -> str:
    if is_secret(name):
        return "…"
    return _without_secrets(value) if name in _URLS else value


@dataclass(frozen=True, slots=True)
class Deflate:
    """Compression by permessage-deflate (RFC 7692): what to offer or accept, and how to compress.

    ``client_`` and ``server_`` say whose compressor is meant, as in the RFC. Window bits (8 to 15) bound the memory
    that the sliding window takes; no context takeover frees it after each message, at the price of compression.
    ``level`` (0 to 9, or -1 for zlib's default) and ``memory_level`` (1 to 9) are this side's zlib settings.
    """

    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    server_max_window_bits: int | None = None
    client_max_window_bits: int | None = None
    level: int = -1
    memory_level: int = 8

    def __post_init__(self) -> None:
        for name in ("server_max_window_bits", "client_max_window_bits"):
            bits = getattr(self, name)
            if bits is not None and bits not in range(8, 16):
                raise InvalidRequest(f"{name} must be from 8 to 15, not {bits!r}")
        if self.level not in range(-1, 10):
            raise InvalidRequest(f"level must be from -1 to 9, not {self.level!r}")
        if self.memory_level not in range(1, 10):
            raise InvalidRequest(f"memory_level must be from 1 to 9, not {self.memory_level!r}")


@dataclass(frozen=True, slots=True)
class Request:
    """A WebSocket to be opened, as an immutable value; begin with :data:`basic_request` (sttp's ``basicRequest``).

    ``open_timeout`` bounds the connection with its opening handshake, ``close_timeout`` the closing handshake, in
    seconds; ``max_message_size`` bounds a received message, in bytes after inflating. None means no bound.
    """

    url: WebSocketURL | None = None
    headers: Headers = field(default_factory=Headers)
    subprotocols: tuple[str, ...] = ()
    compression: Deflate | None = Deflate()
    max_redirects: int = 10
    open_timeout: float | None = 10
    close_timeout: float | None = 10
    max_message_size: int | None = MIB

    def __post_init__(self) -> None:
        if self.compression is not None and not isinstance(self.compression, Deflate):
            raise InvalidRequest(f"compression is a Deflate or None, not {self.compression!r}")
        if self.url is not None and not isinstance(self.url, WebSocketURL):
            raise InvalidRequest(f"url is a WebSocketURL, not {self.url!r}: give a str to .get(url)")
        if not isinstance(self.headers, Headers):
            raise InvalidRequest(f"headers is a Headers, not {type(self.headers).__name__}: add each by .header()")
        if not isinstance(self.subprotocols, tuple):
            raise InvalidRequest(f"subprotocols is a tuple, not {self.subprotocols!r}: add each by .subprotocol()")
        for name in ("open_timeout", "close_timeout"):
            seconds = getattr(self, name)
            check_timeout(seconds, name)
            if seconds is not None and not seconds > 0:
                raise InvalidRequest(f"{name} must be above 0 seconds, or None for no limit; not {seconds!r}")
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
        """Name the URL; its user and password become Basic auth. Raises :class:`InvalidURL`."""
        parsed = WebSocketURL.parse(url)
        request = replace(self, url=replace(parsed, credentials=None))
        return request.basic_auth(*parsed.credentials) if parsed.credentials else request

    def header(self, name: str, value: str, *, replace_existing: bool = False) -> Request:
        """Add a header, or put it in the place of all of its name; raises :class:`InvalidRequest`."""
        _check_text("a header's name", name)
        _check_text(f"the value given for header {name}", value)
        if not _TOKEN.fullmatch(name):
            raise InvalidRequest(f"{name!r} is no header name")
        if name.lower() in _OWN_HEADERS:
            raise InvalidRequest(f"the {name} header can't be set by hand: {_OWN_HEADERS[name.lower()]}")
        if not _VALUE.fullmatch(value):
            raise InvalidRequest(f"the value given for header {name} has a character that HTTP does not allow")
        kept = self.headers.without(name) if replace_existing else self.headers
        return replace(self, headers=Headers([*kept.pairs, (name, value)]))

    def with_headers(self, headers: Mapping[str, str] | Iterable[tuple[str, str]]) -> Request:
        """Add many headers, as by :meth:`header`."""
        request = self
        for name, value in Headers(headers).pairs:
            request = request.header(name, value)
        return request

    def subprotocol(self, *names: str) -> Request:
        """Offer more subprotocols, the preferred one first (RFC 6455 §1.9); raises :class:`InvalidRequest`."""
        for position, name in enumerate(names):
            _check_text("a subprotocol's name", name)
            if not _TOKEN.fullmatch(name):
                raise InvalidRequest(f"{name!r} is no subprotocol name")
            if name in self.subprotocols or name in names[:position]:
                raise InvalidRequest(f"subprotocol {name!r} is offered twice")
        return replace(self, subprotocols=(*self.subprotocols, *names))

    def origin(self, origin: str) -> Request:
        """Set the Origin header, as a browser's page would (RFC 6454)."""
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

    def cookie(self, name: str, value: str) -> Request:
        """Add a cookie to the one Cookie header (RFC 6265 §4.2)."""
        _check_text("a cookie's name", name)
        _check_text(f"the value of cookie {name}", value)
        if not _TOKEN.fullmatch(name) or not _COOKIE_VALUE.fullmatch(value):
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

        What is not given stays as it is.
        """
        return replace(
            self,
            open_timeout=self.open_timeout if open is ... else open,
            close_timeout=self.close_timeout if close is ... else close,
        )

    def limit_message_size(self, size: int | None) -> Request:
        """Bound a received message, in bytes after inflating; None for no bound."""
        return replace(self, max_message_size=size)

    def follow_redirects(self, limit: int) -> Request:
        """Follow at most so many redirects; 0 for none. Credentials and cookies go to the first origin only."""
        return replace(self, max_redirects=limit)

    def __repr__(self) -> str:
        url = "?" if self.url is None else str(self.url)
        extra = f", subprotocols={list(self.subprotocols)}" if self.subprotocols else ""
        return f"Request(GET {url}, {self.headers!r}{extra})"


def check_timeout(seconds: object, name: str = "timeout") -> None:
    """Raise :class:`InvalidRequest` for what is no number of seconds, nor None."""
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool) and not math.isnan(seconds)
    if seconds is not None and not is_number:
        raise InvalidRequest(f"{name} is a number of seconds, or None for no limit; not {seconds!r}")


def _check_text(what: str, value: object) -> None:
    if not isinstance(value, str):
        raise InvalidRequest(f"{what} is a str, not {type(value).__name__}")


basic_request: Request = Request()
"""The request to begin with: no URL, no headers, default limits."""


@dataclass(frozen=True, slots=True)
class Response:
    """The server's answer to an upgrade, in HTTP's terms: ``body`` is that of a rejection, at most 64 KiB of it."""

    status: int
    headers: Headers
    reason: str = ""
    subprotocol: str | None = None
    extensions: tuple[str, ...] = ()
    body: bytes = b""

    @property
    def status_line(self) -> str:
        """Status and reason: ``404 Not Found``."""
        return f"{self.status} {self.reason}".rstrip()


@dataclass(frozen=True, slots=True)
class WebSocketResponse(Response, Generic[R_co]):
    """The answer that opened a websocket, with the handler's ``result`` (sttp's ``WebSocketResponse``)."""

    result: R_co = field(kw_only=True)
