"""Rules for every error text that a user sees."""

from __future__ import annotations

import re

# Details of the implementation, which mean nothing to a user.
INTERNALS = re.compile(
    r"<[\w.]+|\bcodec\b|_ssl\.c|__\w+__|Session\.|polymorphic\.|Request\.|object has no attribute|"
    r"not supported between|unsupported operand|unhashable|could not be cast"
)


def says(error: BaseException, *parts: str) -> None:
    """Check that the error's text names all parts, in any case, and shows no detail of the implementation."""
    text = str(error)
    missing = [part for part in parts if part.lower() not in text.lower()]
    assert not missing, f"the text does not name {missing}: {text}"
    internal = INTERNALS.search(text)
    assert internal is None, f"the text shows {internal[0]!r}, which users do not know: {text}"
