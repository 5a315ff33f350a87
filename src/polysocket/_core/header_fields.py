"""The grammar of the handshake's header fields (RFC 6455 §9.1, RFC 9110 §5.6), and their encoding.

Functions over text, for both roles. A breach of the grammar is a :class:`MalformedHeader`, whose text begins with the
field's name and never quotes a whole value. The handshakes say which side sent the field, and fail.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from polysocket.headers import TOKEN, Headers, is_field_value, is_token

__all__ = [
    "Extension",
    "Fields",
    "MalformedHeader",
    "by_name",
    "encode_fields",
    "listed",
    "parse_extensions",
    "parse_tokens",
    "parse_upgrade",
    "shown",
    "single",
]

_OWS = r"[ \t]*"

_QUOTED = r'"(?:[^"\\]|\\.)*"'

# RFC 6455 §9.1 has the implied white space of RFC 2616 §2.1, which may be around ";" and "=".
_PARAM = rf"{_OWS};{_OWS}({TOKEN})(?:{_OWS}={_OWS}({TOKEN}|{_QUOTED}))?"

_token = re.compile(TOKEN)

_protocol = re.compile(rf"{TOKEN}(?:/{TOKEN})?")  # RFC 9110 §7.8

_param = re.compile(_PARAM)

_extension = re.compile(rf"{TOKEN}(?:{_PARAM})*")

_EMPTY_ELEMENTS = " \t,"  # to be ignored before, between and after elements (RFC 9110 §5.6.1.2)

_after_element = re.compile(rf"{_OWS}(?:,[{_EMPTY_ELEMENTS}]*|\Z)")

_MAX_SHOWN = 80  # characters of a peer's value in a message: longer than any sound one, and short enough for a line


Fields = Mapping[str, Sequence[str]]
"""The values of each field, by its name in lower case."""


class MalformedHeader(Exception):
    """A header field breaks its grammar, or is repeated more often than allowed."""


class Extension(NamedTuple):
    """An element of ``Sec-WebSocket-Extensions`` with unquoted values; ``str`` returns its header text."""

    name: str
    params: tuple[tuple[str, str | None], ...] = ()

    def __str__(self) -> str:
        text = self.name
        for name, value in self.params:
            text += f"; {name}" if value is None else f"; {name}={value}"
        return text


def by_name(headers: Headers) -> Fields:
    """Return the values of each field, to be looked up many times."""
    fields: dict[str, list[str]] = {}
    for name, value in headers.pairs:
        fields.setdefault(name.lower(), []).append(value)
    return fields


def single(fields: Fields, name: str) -> str | None:
    """Return the value of a field that may not be repeated, or None if there is no such field."""
    values = fields.get(name.lower(), ())
    if len(values) > 1:
        raise MalformedHeader(f"{name} header comes {len(values)} times, but may come only once")
    return values[0] if values else None


def parse_tokens(fields: Fields, name: str, element: re.Pattern[str] = _token) -> list[str]:
    """Return the elements of a list field, which may be repeated; an empty list if there is no such field."""
    values = fields.get(name.lower(), ())
    elements: list[str] = []
    for value in values:
        position = len(value) - len(value.lstrip(_EMPTY_ELEMENTS))
        while position < len(value):
            match = element.match(value, position)
            if match is None:
                raise _malformed(name, value, position)
            after = _after_element.match(value, match.end())
            if after is None:
                raise _malformed(name, value, match.end())
            elements.append(match[0])
            position = after.end()
    if values and not elements:
        raise MalformedHeader(f"{name} header is empty")
    return elements


parse_upgrade: Callable[[Fields], list[str]] = partial(parse_tokens, name="Upgrade", element=_protocol)
"""Return the protocols of ``Upgrade``, which may have versions; an empty list if there is no such field."""


def parse_extensions(fields: Fields) -> list[Extension]:
    """Return the extensions of ``Sec-WebSocket-Extensions``, which may be repeated."""
    extensions: list[Extension] = []
    for element in parse_tokens(fields, "Sec-WebSocket-Extensions", _extension):
        params: list[tuple[str, str | None]] = []
        for param in _param.finditer(element):
            value: str | None = param[2]
            params.append((param[1], _unquoted(value) if value and value[0] == '"' else value))
        extensions.append(Extension(element.partition(";")[0].rstrip(" \t"), tuple(params)))
    return extensions


def encode_fields(pairs: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    """Encode header fields, each character as one byte; raises ValueError for what HTTP does not allow."""
    fields: list[tuple[bytes, bytes]] = []
    for name, value in pairs:
        if not is_token(name):
            raise ValueError(f"{name!r} is not a header name")
        if not is_field_value(value):
            raise ValueError(f"the value given for header {name} has a character that HTTP does not allow")
        fields.append((name.encode("ascii"), value.strip(" \t").encode("latin-1")))
    return fields


def shown(value: str) -> str:
    """Return a value from the peer for a message: escaped, and not too long."""
    return repr(value if len(value) <= _MAX_SHOWN else value[: _MAX_SHOWN - 1] + "…")


def listed(names: Iterable[str]) -> str:
    """Return names for a message."""
    return ", ".join(map(repr, names)) or "none"


def _malformed(name: str, value: str, position: int) -> MalformedHeader:
    while value[position] in " \t":
        position += 1
    return MalformedHeader(f"{name} header is malformed: {value[position]!r} at character {position + 1}")


def _unquoted(value: str) -> str:
    unquoted = re.sub(r"\\(.)", r"\1", value[1:-1])
    # RFC 6455 §9.1: "the value after quoted-string unescaping MUST conform to the 'token' ABNF"
    if not is_token(unquoted):
        raise MalformedHeader("Sec-WebSocket-Extensions header has a quoted value that is not a token")
    return unquoted
