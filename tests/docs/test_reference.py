"""The reference has every public name."""

from __future__ import annotations

import re
from pathlib import Path

import polysocket
import polysocket.testing

REFERENCE = Path(__file__).parents[2] / "docs" / "api.rst"


def test_every_public_name_is_in_the_reference() -> None:
    text = REFERENCE.read_text(encoding="utf-8")
    named = set(re.findall(r"^\.\. (?:auto\w+|py:(?:data|type)):: (\w+)\b(?!\.)", text, re.MULTILINE))
    assert set(polysocket.__all__) <= named
    assert set(polysocket.testing.__all__) <= named
