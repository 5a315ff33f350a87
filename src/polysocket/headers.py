"""HTTP header fields as a value, and the grammar of their names and values (RFC 9110 §5)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, cast

from polysocket.redaction import redact_field

__all__ = ["TOKEN", "Headers", "is_field_value", "is_token"]

TOKEN: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
"""The regular expression of a token (RFC 9110 §5.6.2), for larger ones."""

is_token: Final = re.compile(TOKEN).fullmatch
"""Match a token: a header field's name, a subprotocol, a cookie's name."""

is_field_value: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*").fullmatch
"""Match a header field's value (RFC 9110 §5.5), of which each character is sent as one byte."""


class Headers(Mapping[str, str]):
    """HTTP header fields in their order: names in any case, each may repeat.

    As a mapping, a repeated field's values are joined by ``", "`` (RFC 9110 §5.3). :meth:`get_all` returns them one by
    one, as ``Set-Cookie`` needs. :attr:`pairs` has the fields as they were sent. ``repr`` hides secrets.
    """

    __slots__ = ("pairs",)

    pairs: tuple[tuple[str, str], ...]
    """Names and values as they were sent, in their order."""

    def __init__(self, fields: Mapping[str, str] | Iterable[tuple[str, str]] = ()) -> None:
        if type(fields) is list:  # first, since a check for an abstract class takes as long as all else here
            pairs = tuple(cast("list[tuple[str, str]]", fields))
        elif isinstance(fields, Headers):
            pairs = fields.pairs
        elif isinstance(fields, Mapping):
            pairs = tuple(cast("Mapping[str, str]", fields).items())
        else:
            pairs = tuple(fields)
        try:
            for _name, _value in pairs:
                pass
        except (TypeError, ValueError):
            kind = type(cast("object", fields)).__name__
            raise TypeError(f"headers have names with values, such as {{'X-Name': 'value'}}; not {kind}") from None
        object.__setattr__(self, "pairs", pairs)  # as dataclasses do for a frozen class

    def get_all(self, name: str) -> list[str]:
        """Return every value of the field, in order; an empty list if there is none."""
        wanted = name.lower()
        values: list[str] = []
        for key, value in self.pairs:  # no comprehension: before Python 3.12 that is a call of its own
            if key.lower() == wanted:
                values.append(value)
        return values

    def without(self, *names: str) -> Headers:
        """Return the headers without all fields of these names."""
        unwanted = {name.lower() for name in names}
        return Headers(pair for pair in self.pairs if pair[0].lower() not in unwanted)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"Headers are immutable: {name} can't be set")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"Headers are immutable: {name} can't be deleted")

    def __reduce__(self) -> tuple[type[Headers], tuple[tuple[tuple[str, str], ...]]]:
        return Headers, (self.pairs,)

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
        return f"Headers({[(name, redact_field(name, value)) for name, value in self.pairs]!r})"
