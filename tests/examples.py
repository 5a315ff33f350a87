"""How many examples the property tests take; with ``EXAMPLES=20``, 20 times as many (``nox -s properties``)."""

from __future__ import annotations

import os

from hypothesis import settings

__all__ = ["examples"]

FACTOR = int(os.environ.get("EXAMPLES", "1"))


def examples(count: int = 100) -> settings:
    """Return the settings of a test that takes this number of examples, times the factor."""
    return settings(max_examples=count * FACTOR)
