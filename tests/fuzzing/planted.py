"""Bugs to plant, one for each target, so that a search can show that it finds them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from polysocket._core import fast_path
from polysocket._core.client_handshake import ClientHandshake
from polysocket._core.server_handshake import ServerHandshake

__all__ = ["BUGS"]

Replace = Callable[[Any, str, Any], None]
"""``setattr``, or pytest's."""


def ignore_wrong_length(replace: Replace) -> None:
    """Accept a length that is not minimal (RFC 6455 §5.2) in a binary frame that arrives in parts."""

    def size(data: bytes, position: int, masked: bool, limit: int) -> int:
        found = fast_path.frame_size(data[position : position + 14])
        is_binary = found is not None and data[position] == fast_path.FINAL | fast_path.BINARY
        return sum(found) if found is not None and is_binary and bool(data[position + 1] & 0x80) == masked else 0

    replace(fast_path, "whole_binary_frame_size", size)


def forget_half_an_empty_line(replace: Replace) -> None:
    """Ignore an empty line before the request only if both of its bytes arrive at once."""

    def without_empty_line(self: ServerHandshake, data: bytes) -> bytes:
        begun, self._begun = self._begun, None
        return data if begun is None else data.removeprefix(b"\r\n")

    replace(ServerHandshake, "_without_empty_line", without_empty_line)


def trust_the_subprotocol(replace: Replace) -> None:
    """Fail with an IndexError if the server chooses an empty list of subprotocols."""
    check = ClientHandshake._check_subprotocol

    def check_subprotocol(self: ClientHandshake, chosen: str | None) -> str | None:
        if chosen is not None:
            chosen.split(",")[0].split()[0]
        return check(self, chosen)

    replace(ClientHandshake, "_check_subprotocol", check_subprotocol)


BUGS: Final[dict[str, Callable[[Replace], None]]] = {
    "client_handshake": trust_the_subprotocol,
    "server_handshake": forget_half_an_empty_line,
    "connection": ignore_wrong_length,
}
