"""WebSocket URLs as values (RFC 6455 §3), and the parsing that they share with the URLs of proxies."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address
from typing import NamedTuple
from urllib.parse import SplitResult, quote, unquote, urlsplit

from polysocket.errors import InvalidURL
from polysocket.redaction import redact_query, redact_url

__all__ = [
    "ParsedURL",
    "WebSocketURL",
    "ascii_host",
    "ascii_origin",
    "authority",
    "certificate_name",
    "encode_idna",
    "has_same_origin",
    "parse_url",
    "usual_notation",
    "without_zone",
]

DEFAULT_PORTS = {"ws": 80, "wss": 443}

_PORTS = {**DEFAULT_PORTS, "http": 80, "https": 443}

_SCHEMES = {"http": "ws", "https": "wss"}
"""The schemes that mean another one, as in the WHATWG's WebSockets standard."""

_LONGEST_NAME = 253  # characters (RFC 1035 §2.3.4); it also bounds the time that IDNA takes for a redirect's Location

_SPACE_OR_CONTROL = re.compile(r"[\x00-\x20\x7f]")

# RFC 3986 §3.2.2 (reg-name), decoded; each label has from 1 to 63 characters (RFC 1035 §2.3.4)
_HOST = re.compile(r"[0-9a-z_~!$&'()*+,;=-]{1,63}(?:\.[0-9a-z_~!$&'()*+,;=-]{1,63})*\.?")

# An IPv4 address in a notation of inet_aton() (POSIX) besides the usual one: from 1 to 4 numbers in base 16, 8 or 10
_UNUSUAL_IPV4 = re.compile(
    r"(?!(?:(?:0|[1-9][0-9]{0,2})(?:\.|$)){4})(?:0[xX][0-9a-fA-F]+|[0-9]+)(?:\.(?:0[xX][0-9a-fA-F]+|[0-9]+)){0,3}"
)

# RFC 3986 §3.2.2. Python 3.11 ignores other text beside the brackets, which another parser may take for the host.
_IN_BRACKETS = re.compile(r"\[[^][]*\](?::[^][]*)?")

# What stands for itself in a URL: an interface's name or number never has more.
_ZONE = re.compile(r"[0-9A-Za-z._~!$&'()*+,;=-]+")


@dataclass(frozen=True, slots=True)
class WebSocketURL:
    """A ws or wss URL in its parts (RFC 6455 §3), made by :meth:`parse`. An http URL means ws, and https means wss.

    ``host`` is in ASCII (IDNA) and without brackets. The zone of an IPv6 address stands in it decoded: ``fe80::1%eth0``
    for ``[fe80::1%25eth0]`` (RFC 6874 §2). ``target`` is the *resource name*, ``path`` and ``query``.
    """

    scheme: str
    host: str
    port: int
    target: str
    credentials: tuple[str, str] | None = None

    @classmethod
    def parse(cls, url: str) -> WebSocketURL:
        """Split a URL into its parts; raises :class:`InvalidURL`, which says what is wrong with the URL.

        A host that is percent-encoded or not in ASCII is read as browsers do: it is decoded, and encoded by IDNA in the
        form of UTS 46, non-transitional. An address in another notation, such as ``127.1``, becomes the usual one.
        """
        if not isinstance(url, str):
            raise InvalidURL(f"a WebSocket URL is a str, not {type(url).__name__}")
        return cls(*_fields(url))

    @property
    def secure(self) -> bool:
        """Whether it is a wss URL."""
        return self.scheme == "wss"

    @property
    def authority(self) -> str:
        """Host without a zone and, unless it is the scheme's default, port, as in the Host header (RFC 6455 §4.1)."""
        return self._authority(without_zone(self.host) if ":" in self.host else self.host)

    @property
    def path(self) -> str:
        """The path, which begins with ``/``, in ASCII as it is sent."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """The query, without its ``?``, in ASCII as it is sent; empty if there is none. It may be secret."""
        return self.target.partition("?")[2]

    @property
    def with_query(self) -> str:
        """The URL as a string, without credentials but with its query, which ``str()`` leaves out: it may be secret."""
        return f"{self.scheme}://{self._authority(self.host)}{self.target}"

    def __str__(self) -> str:
        """Return the URL without credentials and query."""
        return f"{self.scheme}://{self._authority(self.host)}{self.path}"

    def __repr__(self) -> str:
        return f"WebSocketURL({redact_query(self.with_query)!r})"

    def _authority(self, host: str) -> str:
        shown = _bracketed(host) if ":" in host else host
        return shown if self.port == DEFAULT_PORTS[self.scheme] else f"{shown}:{self.port}"


@lru_cache(maxsize=64)  # A program opens few URLs, and often. urlsplit() keeps them, too.
def _fields(url: str) -> tuple[str, str, int, str, tuple[str, str] | None]:
    parsed = parse_url(url, "WebSocket URL", _PORTS)
    try:
        target = quote(parsed.parts.path or "/", safe="/%!$&'()*+,;=:@~")
        if parsed.parts.query:
            target += "?" + quote(parsed.parts.query, safe="/%!$&'()*+,;=:@~?")
    except UnicodeEncodeError:  # It quotes the query, so it is not chained.
        raise InvalidURL(f"{redact_url(url)!r} has a character that UTF-8 can't encode") from None
    scheme = _SCHEMES.get(parsed.scheme, parsed.scheme)
    return scheme, parsed.host, parsed.port, target, parsed.credentials


class ParsedURL(NamedTuple):
    """The checked parts that the URLs of servers and proxies share."""

    scheme: str
    host: str
    port: int
    credentials: tuple[str, str] | None
    parts: SplitResult


def parse_url(url: str, kind: str, ports: Mapping[str, int]) -> ParsedURL:
    """Split a URL whose scheme is one of those in ``ports``; raises :class:`InvalidURL`."""
    if not isinstance(url, str):
        raise InvalidURL(f"a {kind} is a str, not {type(url).__name__}")
    if _SPACE_OR_CONTROL.search(url):
        raise InvalidURL(f"{redact_url(url)!r} has a space or control character in it")
    parts, host, port = _split(url)
    scheme = parts.scheme.lower()
    if scheme not in ports:
        *others, last = [f"{each}://" for each in ports]
        raise InvalidURL(f"{redact_url(url)!r} is not a {kind}: it must begin with {', '.join(others)} or {last}")
    if not host:
        raise InvalidURL(f"{redact_url(url)!r} names no host")
    if port == 0:
        raise InvalidURL(f"{redact_url(url)!r} names port 0, to which nothing can connect")
    if "#" in url:
        raise InvalidURL(f"{redact_url(url)!r} has a fragment ('#…'), which a {kind} may not have")
    credentials = None
    if parts.username is not None:
        try:
            credentials = unquote(parts.username, errors="strict"), unquote(parts.password or "", errors="strict")
        except UnicodeDecodeError:  # It quotes the password, so it is not chained.
            raise InvalidURL(
                f"{redact_url(url)!r} has a user or a password that is not percent-encoded UTF-8"
            ) from None
    if "%" in host:
        host = _decoded_host(host, url)
    return ParsedURL(scheme, ascii_host(host, url), port or ports[scheme], credentials, parts)


def authority(host: str, port: int) -> str:
    """Return host and port as they stand in a URL (RFC 3986 §3.2)."""
    return f"{_bracketed(host) if ':' in host else host}:{port}"


def has_same_origin(one: WebSocketURL, other: WebSocketURL) -> bool:
    """Return whether two URLs have the same origin: scheme, host and port (RFC 6454 §5)."""
    return (one.scheme, one.host, one.port) == (other.scheme, other.host, other.port)


def without_zone(host: str) -> str:
    """Return a host without the zone of an IPv6 address, which no other machine may see (RFC 6874 §4)."""
    return host.partition("%")[0] if ":" in host else host


def certificate_name(host: str) -> str:
    """Return the name of a host in SNI and certificates: without a trailing dot (RFC 6066 §3), and without a zone."""
    return without_zone(host).removesuffix(".")


def _bracketed(address: str) -> str:
    return f"[{address.replace('%', '%25')}]"


def _split(url: str) -> tuple[SplitResult, str | None, int | None]:
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError as error:
        if "@" in url:  # The error may quote a secret, so it is neither shown nor chained.
            raise InvalidURL(f"{redact_url(url)!r} is not a URL: its host is malformed") from None
        raise InvalidURL(f"{redact_url(url)!r} is not a URL: {error}") from error
    if "\\" in parts.netloc:  # Browsers read it as "/", which begins the path: then another host stands before it.
        raise InvalidURL(
            f"{redact_url(url)!r} is not a URL: no backslash may stand before its path; in a user's name, write %5C"
        )
    place = parts.netloc.rpartition("@")[2]
    if ("[" in place or "]" in place) and not _IN_BRACKETS.fullmatch(place):
        raise InvalidURL(f"{redact_url(url)!r} is not a URL: only ':port' may stand beside an address in brackets")
    if place[:2].lower() == "[v":  # RFC 3986 §3.2.2: a later version of IP, of which there is none
        raise InvalidURL(f"{redact_url(url)!r} is not a URL: only an IPv6 address may stand in brackets")
    if host is not None and not host.isascii() and "[" not in place:
        host = place.partition(":")[0]  # str.lower() has made a ς of a Σ that ends a word, where UTS 46 makes a σ.
    try:
        port = parts.port
    except ValueError:
        number = "a port" if "@" in url else f"the port {parts.netloc.rpartition(':')[2]!r}"
        raise InvalidURL(f"{redact_url(url)!r} names {number}, but a port is a number from 1 to 65535") from None
    return parts, host, port


def _decoded_host(host: str, url: str) -> str:
    """Return the host of a URL without its percent-encoding (RFC 3986 §3.2.2), so that a name is one in each notation.

    Of a zone, only the "%" before it is decoded. Many write that "%" itself, as in ping fe80::1%eth0.
    """
    if ":" in host:
        return host.replace("%25", "%", 1)
    try:
        decoded = unquote(host, errors="strict")
    except UnicodeDecodeError:
        raise InvalidURL(f"{redact_url(url)!r} has a host that is not percent-encoded UTF-8") from None
    if ":" in decoded:  # It would be an IPv6 address without brackets.
        raise InvalidURL(f"{redact_url(url)!r} has a host that is not a domain name: it has a ':', percent-encoded")
    return decoded


def ascii_host(host: str, text: str) -> str:
    """Return a host in ASCII, without brackets; raises :class:`InvalidURL`, which quotes the URL or another text."""
    host, mark, zone = host.partition("%") if ":" in host else (host, "", "")
    if mark and not _ZONE.fullmatch(zone):
        raise InvalidURL(f"{redact_url(text)!r} has a zone that can't be the name of a network interface")
    if ":" in host:
        try:
            host = IPv6Address(host).compressed  # One address has one form (RFC 5952), for the comparison of origins.
        except ValueError:
            raise InvalidURL(f"{redact_url(text)!r} has a host with ':' in it that is not an IPv6 address") from None
        return host + mark + zone
    try:
        encoded = host.lower() if host.isascii() else encode_idna(host)
    except UnicodeError as error:
        raise InvalidURL(
            f"{redact_url(text)!r} has a host that is not a domain name: IDNA does not allow it"
        ) from error
    if not _HOST.fullmatch(encoded):
        has_lengths = all(0 < len(label) < 64 for label in encoded.removesuffix(".").split("."))
        why = "it has a character that no host has" if has_lengths else "each part has from 1 to 63 characters"
        raise InvalidURL(f"{redact_url(text)!r} has a host that is not a domain name: {why}")
    return usual_notation(encoded) if _UNUSUAL_IPV4.fullmatch(encoded) else encoded


def ascii_origin(origin: str) -> str:
    """Return an origin with its host in ASCII (RFC 6454 §6.2); raises :class:`InvalidURL`."""
    scheme, mark, place = origin.partition("://")
    host, colon, port = place.partition(":")
    if not (scheme.isascii() and port.isascii()):
        raise InvalidURL(f"{redact_url(origin)!r} is not an origin: only its host may have other characters than ASCII")
    return f"{scheme}{mark}{ascii_host(host, origin)}{colon}{port}"


def usual_notation(host: str) -> str:
    """Return the dotted decimal of an IPv4 address in another notation, such as ``127.1`` or ``0x7f.0.0.1``.

    Another host is returned as it is. Resolvers and browsers read these notations, so ``NO_PROXY`` and the check of a
    certificate must not take the address for a name.
    """
    if not _UNUSUAL_IPV4.fullmatch(host):
        return host
    try:
        *first, last = [
            int(part, 16 if part[:2] in ("0x", "0X") else 8 if part[0] == "0" else 10) for part in host.split(".")
        ]
        return ".".join(map(str, bytes(first) + last.to_bytes(4 - len(first), "big")))
    except (ValueError, OverflowError):  # a number in base 8 with an 8 or a 9, or one that is too large: a name
        return host


def encode_idna(host: str) -> str:
    """Return a host in ASCII by non-transitional processing (UTS 46 §4), as browsers do; raises UnicodeError."""
    import idna  # noqa: PLC0415 - its tables take longer to import than the rest of this module, and few hosts need them

    if ":" in host or len(host) > _LONGEST_NAME:
        raise UnicodeError("an IPv6 address is in ASCII, and a name is shorter")
    mapped = idna.uts46_remap(host, std3_rules=False, transitional=False)
    labels: list[str] = []
    for label in mapped.split("."):
        try:
            labels.append(label if label.isascii() else idna.alabel(label).decode("ascii"))
        except idna.IDNAError:
            labels.append(_encode_label(label))
    return ".".join(labels)


def _encode_label(label: str) -> str:
    """Return a label that IDNA 2008 refuses and UTS 46 §4.1 allows, such as a symbol, or one with ``_`` or ``--``."""
    import idna  # noqa: PLC0415 - as above

    if label.startswith("xn--") or not {"\u200c", "\u200d"}.isdisjoint(label):
        raise UnicodeError("a label has the prefix of an encoded one, or a joiner out of its context")
    idna.check_initial_combiner(label)
    idna.check_bidi(label)
    return f"xn--{label.encode('punycode').decode('ascii')}"
