"""The handshake's header fields: their grammar (RFC 6455 §9.1, RFC 9110 §5.6), and how they stand in messages.

Functions over text, for both roles. Whose field it was, and what a breach of the grammar means, is the handshake's to
say; here it is a :class:`MalformedHeader`, whose text begins with the field's name and never quotes a whole value.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from polysocket.headers import Headers

__all__ = [
    "Extension",
    "MalformedHeader",
    "accept_value",
    "encode_fields",
    "lacking",
    "listed",
    "parse_extensions",
    "parse_tokens",
    "parse_upgrade",
    "shown",
    "single",
]


_OWS = r"[ \t]*"


_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"


_QUOTED = r'"(?:[^"\\]|\\.)*"'


# RFC 6455 §9.1 keeps the implied white space of RFC 2616 §2.1, so there may be some around ";" and "="
_PARAM = rf"{_OWS};{_OWS}({_TOKEN})(?:{_OWS}={_OWS}({_TOKEN}|{_QUOTED}))?"


_token = re.compile(_TOKEN)


_protocol = re.compile(rf"{_TOKEN}(?:/{_TOKEN})?")  # RFC 9110 §7.8


_param = re.compile(_PARAM)


_extension = re.compile(rf"({_TOKEN})((?:{_PARAM})*)")


_between_elements = re.compile(r"[ \t,]*")  # empty elements are ignored (RFC 9110 §5.6.1.2)


_after_element = re.compile(rf"{_OWS}(?=,|\Z)")


_field_value = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 §1.3


_SHOWN = 80  # characters of a value in a message


class MalformedHeader(Exception):
    """A header field breaks its grammar, or comes too often."""


class Extension(NamedTuple):
    """One element of ``Sec-WebSocket-Extensions``, its values unquoted; ``str`` gives its header text."""

    name: str
    params: tuple[tuple[str, str | None], ...] = ()

    def __str__(self) -> str:
        return "; ".join([self.name, *(name if value is None else f"{name}={value}" for name, value in self.params)])


def single(headers: Headers, name: str) -> str | None:
    """The value of a field that may come only once; None where it does not come."""
    values = headers.get_all(name)
    if len(values) > 1:
        raise MalformedHeader(f"{name} header comes {len(values)} times, but may come only once")
    return values[0] if values else None


def parse_tokens(headers: Headers, name: str) -> list[str]:
    """The tokens of a list field, which may repeat; none where it does not come."""
    return [match[0] for match in _elements(headers, name, _token)]


def parse_upgrade(headers: Headers) -> list[str]:
    """The protocols of ``Upgrade``, which may have versions; none where it does not come."""
    return [match[0] for match in _elements(headers, "Upgrade", _protocol)]


def parse_extensions(headers: Headers) -> list[Extension]:
    """The extensions of ``Sec-WebSocket-Extensions``, which may repeat; none where it does not come."""
    return [
        Extension(match[1], tuple((param[1], _unquoted(param[2])) for param in _param.finditer(match[2])))
        for match in _elements(headers, "Sec-WebSocket-Extensions", _extension)
    ]


def encode_fields(pairs: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    """Header fields as they are sent, one byte a character; ValueError for what HTTP does not allow."""
    fields: list[tuple[bytes, bytes]] = []
    for name, value in pairs:
        if not _token.fullmatch(name):
            raise ValueError(f"{name!r} is no header name")
        if not _field_value.fullmatch(value):
            raise ValueError(f"the value given for header {name} has a character that HTTP does not allow")
        fields.append((name.encode("ascii"), value.strip(" \t").encode("latin-1")))
    return fields


def accept_value(key: str) -> str:
    """The ``Sec-WebSocket-Accept`` that a ``Sec-WebSocket-Key`` demands (RFC 6455 §4.2.2)."""
    digest = hashlib.sha1(key.encode("ascii") + _GUID, usedforsecurity=False).digest()
    return base64.b64encode(digest).decode("ascii")


def lacking(whose: str, headers: Headers, name: str, due: str) -> str:
    """The message that a field is not what it must be."""
    value = headers.get(name)
    return f"{whose} must have {name}: {due}, but has {'none' if value is None else shown(value)}"


def shown(value: str) -> str:
    """A value from the other side for a message: escaped, and not too long."""
    return repr(value if len(value) <= _SHOWN else value[: _SHOWN - 1] + "…")


def listed(names: Iterable[str]) -> str:
    """Names for a message."""
    return ", ".join(map(repr, names)) or "none"


def _elements(headers: Headers, name: str, element: re.Pattern[str]) -> list[re.Match[str]]:
    values = headers.get_all(name)
    found = [match for value in values for match in _split(name, value, element)]
    if values and not found:
        raise MalformedHeader(f"{name} header is empty")
    return found


def _split(name: str, value: str, element: re.Pattern[str]) -> Iterator[re.Match[str]]:
    position = _end(_between_elements, value, 0)
    while position < len(value):
        match = element.match(value, position)
        if match is None:
            raise _malformed(name, value, position)
        if not _after_element.match(value, match.end()):
            raise _malformed(name, value, match.end())
        yield match
        position = _end(_between_elements, value, match.end())


def _end(pattern: re.Pattern[str], value: str, position: int) -> int:
    match = pattern.match(value, position)
    return position if match is None else match.end()


def _malformed(name: str, value: str, position: int) -> MalformedHeader:
    while value[position] in " \t":
        position += 1
    return MalformedHeader(f"{name} header is malformed: {value[position]!r} at character {position + 1}")


def _unquoted(value: str | None) -> str | None:
    if value is None or not value.startswith('"'):
        return value
    unquoted = re.sub(r"\\(.)", r"\1", value[1:-1])
    # RFC 6455 §9.1: "the value after quoted-string unescaping MUST conform to the 'token' ABNF"
    if not _token.fullmatch(unquoted):
        raise MalformedHeader("Sec-WebSocket-Extensions header has a quoted value that is no token")
    return unquoted
