"""Happy Eyeballs (RFC 8305): connect to a host's addresses in turn, each attempt 0.25 seconds after the previous one.

The order and the delay are here. Each flavour makes the connections and waits for them. trio has an implementation of
its own. That of asyncio leaks tasks and sockets if it is cancelled (seen in Python 3.11), and uvloop has none.
"""

from __future__ import annotations

import itertools
import os
import socket
from collections.abc import Iterable
from typing import Any, Protocol

__all__ = ["Address", "Attempts", "attempt_failed", "first_connected", "interleaved"]

ATTEMPT_DELAY = 0.25  # seconds: the recommended Connection Attempt Delay (RFC 8305 §8)

Address = tuple[Any, Any, int, str, Any]
"""A result of getaddrinfo: family, type, protocol, canonical name, and the address of the socket."""


class Attempts(Protocol):
    """Attempts to connect that run at the same time."""

    def start(self, address: Address, /) -> None:
        """Start one more attempt. Raises OSError if it fails at once."""
        ...

    async def next_connected(self, seconds: float | None, /) -> socket.socket | None:
        """Return the next connected socket, or None after ``seconds``. Raises OSError if an attempt has failed."""
        ...

    async def abort(self) -> None:
        """Abort the attempts that still run."""
        ...


def attempt_failed(number: int, where: Any) -> OSError:
    """Return the error of an attempt to connect, with the system's words and, as its ``filename``, the address."""
    return OSError(number, os.strerror(number), where[0])


def interleaved(addresses: Iterable[Address]) -> list[Address]:
    """Return the addresses in the order of the attempts: the families alternate, the first one's first (§4)."""
    families: dict[object, list[Address]] = {}
    for address in addresses:
        families.setdefault(address[0], []).append(address)
    turns = itertools.zip_longest(*families.values())
    return [address for turn in turns for address in turn if address is not None]


async def first_connected(host: str, addresses: Iterable[Address], attempts: Attempts) -> socket.socket:
    """Return the first socket that connects to one of the addresses, with TCP_NODELAY; abort the other attempts.

    Raises OSError if all attempts fail; its cause is the group of their errors. A cancellation leaks nothing.
    """
    try:
        connected = await _race(host, interleaved(addresses), attempts)
    except BaseException:
        await attempts.abort()
        raise
    try:
        await attempts.abort()
        # A small frame must not wait until the peer acknowledges the previous one (Nagle's algorithm).
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
                attempts.start(address)
            if (connected := await attempts.next_connected(ATTEMPT_DELAY if address else None)) is not None:
                return connected
        except OSError as error:
            errors.append(error)
    group = ExceptionGroup("attempts", errors) if errors else None
    raise OSError(f"no address of {host} could be reached") from group
