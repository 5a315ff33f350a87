"""The API reference has every public name."""

from __future__ import annotations

import importlib
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.docs.programs import HAS_TRIO

REFERENCE = Path(__file__).parents[2] / "docs" / "api"
PAGES = "\n".join(page.read_text(encoding="utf-8") for page in REFERENCE.glob("*.rst"))
NAMES = set(re.findall(r"^\.\. (?:auto\w+|py:(?:class|data|type)):: (?:\w+\.)*(\w+)", PAGES, re.MULTILINE))
WHOLE_MODULES = {
    module: set(excluded.split(", ")) if excluded else set()
    for module, excluded in re.findall(
        r"^\.\. automodule:: (\S+)\n   :members:\n(?:   :(?!exclude).*\n)*(?:   :exclude-members: (.*)\n)?",
        PAGES,
        re.MULTILINE,
    )
}

PUBLIC = [
    "polysocket",
    "polysocket.blocking",
    "polysocket.threaded",
    "polysocket.asyncio",
    "polysocket.effects",
    "polysocket.multiplexing",
    "polysocket.observers.opentelemetry",
    "polysocket.observers.prometheus",
    "polysocket.testing",
    "polysocket.testing.contract",
    "polysocket.testing.strategies",
    *(["polysocket.anyio"] if find_spec("anyio") is not None else []),
    *(["polysocket.trio"] if HAS_TRIO else []),
]


@pytest.mark.parametrize("module", PUBLIC)
def test_every_public_name_is_in_the_reference(module: str) -> None:
    public = set(importlib.import_module(module).__all__)
    documented = NAMES | (public - WHOLE_MODULES.get(module, public))
    assert public <= documented
