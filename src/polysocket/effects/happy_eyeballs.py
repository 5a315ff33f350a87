"""Happy Eyeballs (RFC 8305): connect to a host's addresses in turn, each attempt 0.25 seconds after the previous one.

The order and the delay are here. Each flavour makes the connections and waits for them. asyncio's implementation leaks
tasks and sockets if it is cancelled (seen in Python 3.11), trio's does not say which address failed, and uvloop has
none.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, Protocol

from polysocket.effects.kept_errors import without_tracebacks
from polysocket.effects.shutdown import drop
from polysocket.url import authority

__all__ = [
    "Address",
    "Attempts",
    "SocketAttempts",
    "attempt_failed",
    "bind",
    "family_of",
    "first_connected",
    "interleaved",
]

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


class SocketAttempts(ABC):
    """The :class:`Attempts` of a flavour that waits for sockets itself."""

    def __init__(self, local_address: tuple[str, int] | None = None) -> None:
        self._local_address = local_address
        self._sockets: dict[socket.socket, Any] = {}  # with the address of each

    @abstractmethod
    async def wait_until_connected(self, sockets: list[socket.socket], seconds: float | None) -> socket.socket | None:
        """Return a socket that has connected or failed, which makes it writable, or None after ``seconds``."""

    def start(self, address: Address) -> None:
        """Start one more attempt."""
        family, kind, proto, _, where = address
        sock = socket.socket(family, kind, proto)
        self._sockets[sock] = where
        try:
            sock.setblocking(False)
            if self._local_address is not None:
                bind(sock, self._local_address)
            with contextlib.suppress(BlockingIOError):
                sock.connect(where)
        except OSError as error:
            del self._sockets[sock]
            sock.close()
            if error.errno and error.filename is None:
                raise attempt_failed(error.errno, where) from None
            raise

    async def next_connected(self, seconds: float | None) -> socket.socket | None:
        """Wait for one of the attempts."""
        sock = await self.wait_until_connected(list(self._sockets), seconds)
        if sock is None:
            return None
        where = self._sockets.pop(sock)
        if error := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            sock.close()
            raise attempt_failed(error, where)
        return sock

    async def abort(self) -> None:
        """Close the sockets of the attempts that still run."""
        for sock in self._sockets:
            drop(sock)


def family_of(local_address: tuple[str, int]) -> socket.AddressFamily:
    """Return the family of the address to connect from."""
    return socket.AF_INET6 if ":" in local_address[0] else socket.AF_INET


def bind(sock: socket.socket, local_address: tuple[str, int]) -> None:
    """Bind a socket that will connect to the IP address and the port. Raises OSError, which names them."""
    where: Any = local_address
    try:
        if "%" in local_address[0]:  # bind() itself ignores a zone that is in the text.
            flags = socket.AI_NUMERICHOST
            [(*_, where)] = socket.getaddrinfo(*local_address, socket.AF_INET6, socket.SOCK_STREAM, flags=flags)
        sock.bind(where)
    except OSError as error:
        place = authority(*local_address)
        raise OSError(error.errno, f"{error.strerror or error} (local_address {place})", place) from None


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
    ordered = list(addresses)
    if len(ordered) > 1:
        ordered = interleaved(ordered)
    started = 0
    errors: list[OSError] = []
    connected: socket.socket | None = None
    try:
        while connected is None and len(errors) < len(ordered):
            try:
                if started < len(ordered):
                    started += 1
                    attempts.start(ordered[started - 1])
                connected = await attempts.next_connected(ATTEMPT_DELAY if started < len(ordered) else None)
            except OSError as error:
                errors.append(without_tracebacks(error))
    except BaseException:
        await attempts.abort()
        raise
    if connected is None:
        group = ExceptionGroup("attempts", errors) if errors else None
        raise OSError(f"no address of {host} could be reached") from group
    try:
        if started > 1:
            await attempts.abort()
        # A small frame must not wait until the peer acknowledges the previous one (Nagle's algorithm).
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        drop(connected)
        raise
    return connected
