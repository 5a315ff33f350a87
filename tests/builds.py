"""Tests that need one of the two builds of the core (see ``polysocket.is_compiled``)."""

from __future__ import annotations

import pytest

import polysocket

__all__ = ["replaces_core"]

replaces_core = pytest.mark.skipif(
    polysocket.is_compiled, reason="compiled code calls the methods that this test replaces directly"
)
