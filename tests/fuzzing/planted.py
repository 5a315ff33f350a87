"""Bugs to plant, one for each target, so that a search can show that it finds them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import h11

from polysocket._core import fast_path, server_handshake
from polysocket._core.client_handshake import ClientHandshake

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


def trust_the_offered_subprotocols(replace: Replace) -> None:
    """Fail with an IndexError if a request offers an empty list of subprotocols."""
    check = server_handshake._check_request

    def check_request(event: h11.Request) -> object:
        for name, value in event.headers:
            if name == b"sec-websocket-protocol":
                value.split(b",")[0].split()[0]
        return check(event)

    replace(server_handshake, "_check_request", check_request)


def trust_the_subprotocol(replace: Replace) -> None:
    """Fail with an IndexError if the server chooses an empty list of subprotocols."""
    check = ClientHandshake._check_subprotocol

    def check_subprotocol(self: ClientHandshake, chosen: str) -> None:
        chosen.split(",", maxsplit=1)[0].split(maxsplit=1)[0]
        check(self, chosen)

    replace(ClientHandshake, "_check_subprotocol", check_subprotocol)


BUGS: Final[dict[str, Callable[[Replace], None]]] = {
    "client_handshake": trust_the_subprotocol,
    "server_handshake": trust_the_offered_subprotocols,
    "connection": ignore_wrong_length,
}
