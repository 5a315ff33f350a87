"""The imports of ``import polysocket.blocking``: only modules that are needed before a websocket is opened.

``python -m benchmarks.imports`` measures the time. Names of modules, unlike times, are the same on every machine.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

# Each takes milliseconds to import, and belongs to another flavour, to only some connections, or to the opening itself.
LATER = [
    "anyio",
    "asyncio",
    "concurrent.futures",
    "email",
    "h11",
    "http",
    "idna",
    "importlib.metadata",
    "logging",
    "sniffio",
    "ssl",
    "trio",
    "urllib.request",
    "wsproto",
]
OF_THREADS = ["concurrent.futures", "logging"]  # futures import logging
OF_ASYNCIO = ["asyncio", "concurrent.futures", "logging", "ssl"]  # asyncio imports the others
OF_OPENING = ["email", "h11", "http", "wsproto"]  # at once, since an import in a task would block the event loop


@pytest.mark.parametrize(
    ("module", "allowed"),
    [
        ("polysocket", []),
        ("polysocket.blocking", []),
        ("polysocket.threaded", OF_THREADS),
        ("polysocket.asyncio", [*OF_ASYNCIO, *OF_OPENING]),
    ],
)
def test_a_flavour_imports_at_once_only_what_it_always_needs(module: str, allowed: list[str]) -> None:
    code = f"import sys; before = set(sys.modules); import {module}; print(*set(sys.modules) - before)"
    imported = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not set(imported) & set(LATER) - set(allowed)
