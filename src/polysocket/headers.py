"""HTTP header fields as a value."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar, cast

from polysocket.redaction import _without_secrets, is_secret

__all__ = ["Headers"]


R_co = TypeVar("R_co", covariant=True)


# RFC 9110 §5.6.2 (token) and §5.5 (field values; h11 sends bytes, so one byte a character)
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


_URLS = frozenset({"location", "content-location", "referer"})


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


def _shown_value(name: str, value: str) -> str:
    if is_secret(name):
        return "…"
    return _without_secrets(value) if name in _URLS else value
