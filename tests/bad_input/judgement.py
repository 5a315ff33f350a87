"""What every text that a user sees must do, whatever it is about."""

from __future__ import annotations

import re

# Traces of how it was found out, which tell nothing to somebody who has never seen the code.
INTERNALS = re.compile(
    r"<[\w.]+|\bcodec\b|_ssl\.c|__\w+__|Session\.|polymorphic\.|Request\.|object has no attribute|"
    r"not supported between|unsupported operand|unhashable|could not be cast"
)


def says(error: BaseException, *parts: str) -> None:
    """Hold the error's text to name all of these, in any case, and to show nothing of the library's inside."""
    text = str(error)
    missing = [part for part in parts if part.lower() not in text.lower()]
    assert not missing, f"the text does not name {missing}: {text}"
    internal = INTERNALS.search(text)
    assert internal is None, f"the text shows {internal[0]!r}, which users do not know: {text}"
