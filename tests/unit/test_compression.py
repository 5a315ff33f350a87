"""The settings of permessage-deflate."""

from __future__ import annotations

from typing import Any

import pytest

from polysocket.compression import Deflate
from polysocket.errors import InvalidRequest

DEFLATES: list[tuple[dict[str, Any], str]] = [
    ({"server_max_window_bits": 7}, "server_max_window_bits must be from 8 to 15, not 7"),
    ({"server_max_window_bits": 16}, "server_max_window_bits must be from 8 to 15, not 16"),
    ({"client_max_window_bits": 0}, "client_max_window_bits must be from 8 to 15, not 0"),
    ({"window_bits": 8}, "window_bits must be from 9 to 15, not 8"),
    ({"window_bits": 16}, "window_bits must be from 9 to 15, not 16"),
    ({"level": -2}, "level must be from -1 to 9, not -2"),
    ({"level": 10}, "level must be from -1 to 9, not 10"),
    ({"memory_level": 0}, "memory_level must be from 1 to 9, not 0"),
    ({"memory_level": 10}, "memory_level must be from 1 to 9, not 10"),
]


@pytest.mark.parametrize(("settings", "why"), DEFLATES, ids=[why for _, why in DEFLATES])
def test_settings_that_zlib_does_not_have_are_refused(settings: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        Deflate(**settings)
    assert str(caught.value) == why


@pytest.mark.parametrize("value", [8, 15, None])
def test_window_bits_of_rfc_7692_are_accepted(value: int | None) -> None:
    assert Deflate(server_max_window_bits=value, client_max_window_bits=value).client_max_window_bits == value
