"""WebSocket URLs as values (RFC 6455 §3)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeVar
from urllib.parse import SplitResult, quote, unquote, urlsplit

from polysocket.errors import InvalidURL
from polysocket.redaction import _without_secrets

__all__ = ["WebSocketURL"]


R_co = TypeVar("R_co", covariant=True)


DEFAULT_PORTS = {"ws": 80, "wss": 443}


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
