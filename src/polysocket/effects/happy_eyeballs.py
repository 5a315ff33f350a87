"""Happy eyeballs (RFC 8305): try a host's addresses one after the other, each a little after the one before.

The order and the delay are here; each flavour makes connections and waits for them. trio has its own implementation.
So has asyncio, but a cancelled one leaks tasks and sockets, as seen in Python 3.11; and uvloop has none.
"""

from __future__ import annotations

import itertools
import socket
from collections.abc import Iterable
from typing import Any, Protocol

__all__ = ["Address", "Attempts", "first_connected", "interleaved"]


ATTEMPT_DELAY = 0.25  # seconds (RFC 8305 §8)


Address = tuple[Any, Any, int, str, Any]
"""A result of getaddrinfo: family, kind, protocol, canonical name, and the address itself."""


class Attempts(Protocol):
    """Connections that are being made, all at the same time."""

    def begin(self, address: Address, /) -> None:
        """Begin one more. Raises OSError if it has failed already."""
        ...

    async def next_connected(self, seconds: float | None, /) -> socket.socket | None:
        """Return the next connected socket, or None after ``seconds``; raise OSError if one has failed."""
        ...

    async def end(self) -> None:
        """End those that are under way."""
        ...


def interleaved(addresses: Iterable[Address]) -> list[Address]:
    """Return the addresses in the order in which to try them: the families in turn, the first one's first (§4)."""
    families: dict[object, list[Address]] = {}
    for address in addresses:
        families.setdefault(address[0], []).append(address)
    turns = itertools.zip_longest(*families.values())
    return [address for turn in turns for address in turn if address is not None]


async def first_connected(host: str, addresses: Iterable[Address], attempts: Attempts) -> socket.socket:
    """Return the first socket that connects to one of the addresses, with TCP_NODELAY; end the other attempts.

    Raises OSError, whose cause is the group of all errors. An error or a cancellation leaks nothing.
    """
    try:
        connected = await _race(host, interleaved(addresses), attempts)
    except BaseException:
        await attempts.end()
        raise
    try:
        await attempts.end()
        # A small frame must not wait for the acknowledgement of the one before (Nagle's algorithm).
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        connected.close()
        raise
    return connected


async def _race(host: str, addresses: list[Address], attempts: Attempts) -> socket.socket:
    untried = iter(addresses)
    errors: list[OSError] = []
    while len(errors) < len(addresses):
        try:
            if (address := next(untried, None)) is not None:
                attempts.begin(address)
            if (connected := await attempts.next_connected(ATTEMPT_DELAY if address else None)) is not None:
                return connected
        except OSError as error:
            errors.append(error)
    group = ExceptionGroup("attempts", errors) if errors else None
    raise OSError(f"no address of {host} could be reached") from group
