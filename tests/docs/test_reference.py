"""The reference has every public name."""

from __future__ import annotations

import importlib
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.docs.programs import HAS_TRIO

REFERENCE = Path(__file__).parents[2] / "docs" / "api.rst"
NAMED = re.compile(r"^\.\. (?:auto\w+|py:(?:data|type)):: ([\w.]+)", re.MULTILINE)

PUBLIC = [
    "polysocket",
    "polysocket.blocking",
    "polysocket.threaded",
    "polysocket.asyncio",
    "polysocket.observers.opentelemetry",
    "polysocket.observers.prometheus",
    "polysocket.testing",
    "polysocket.testing.contract",
    *(["polysocket.anyio"] if find_spec("anyio") is not None else []),
    *(["polysocket.trio"] if HAS_TRIO else []),
]


@pytest.mark.parametrize("module", PUBLIC)
def test_every_public_name_is_in_the_reference(module: str) -> None:
    named = {name.rpartition(".")[2] for name in NAMED.findall(REFERENCE.read_text(encoding="utf-8"))}
    assert set(importlib.import_module(module).__all__) <= named
