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
    """Accept a length that is not minimal (RFC 6455 §5.2) in a binary frame."""
    parse = fast_path.parse_header

    def parse_header(data: bytes, position: int, masked: bool, in_message: bool, compression: bool) -> int:
        size = 8 if masked else 4
        header = data[position : position + size]
        is_wide = header[:2] == (b"\x82\xfe" if masked else b"\x82\x7e") and len(header) == size
        return size if is_wide and not in_message else parse(data, position, masked, in_message, compression)

    replace(fast_path, "parse_header", parse_header)


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
