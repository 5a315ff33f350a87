"""Fixtures of the unit tests."""

from __future__ import annotations

import pytest

from tests.compression import WatchedZlib


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> WatchedZlib:
    watched = WatchedZlib()
    monkeypatch.setattr("polysocket._core.deflate.zlib", watched)
    return watched
