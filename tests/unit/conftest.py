"""Fixtures of the unit tests."""

from __future__ import annotations

import zlib

import pytest

from tests.compression import WatchedZlib


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> WatchedZlib:
    watched = WatchedZlib()
    monkeypatch.setattr(zlib, "compressobj", watched.compressobj)
    monkeypatch.setattr(zlib, "decompressobj", watched.decompressobj)
    return watched
