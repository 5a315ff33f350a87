"""Look up the addresses of a host without being at the mercy of the system's resolver.

``getaddrinfo`` may take minutes, and neither a time limit nor Ctrl-C ends it. The flavours of threads call it in a
thread of its own, and wait for that.
"""

from __future__ import annotations

import socket
import threading

from polysocket.effects.happy_eyeballs import Address
from polysocket.effects.interface import Event
from polysocket.effects.no_thread import no_thread

__all__ = ["Lookup", "is_address", "known_addresses"]


def is_address(host: str) -> bool:
    """Return whether a host is an IP address, so that looking it up neither asks a server nor reads a file."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.inet_pton(family, host.partition("%")[0])  # without the zone of an IPv6 address
    except OSError:
        return False
    return True


def known_addresses(host: str, port: int, family: int) -> list[Address] | None:
    """Return the addresses of a host that is an IP address; None for a name, which has to be looked up."""
    if not is_address(host):
        return None
    if ":" not in host and family in (socket.AF_UNSPEC, socket.AF_INET):  # What getaddrinfo() returns, but faster.
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port))]
    return list(socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST))


class Lookup:
    """A lookup in a daemon thread; ``done`` is set at its end.

    The thread of a lookup that no caller waits for any longer lasts until the system answers. Its result is dropped.
    """

    def __init__(self, host: str, port: int, family: int, done: Event) -> None:
        self.done = done
        self._host = host
        self._port = port
        self._family = family
        self._addresses: list[Address] = []
        self._error: BaseException | None = None
        try:
            threading.Thread(target=self._run, name=f"polysocket lookup {host}", daemon=True).start()
        except RuntimeError as error:
            raise no_thread(f"to look up {host}", error) from error

    def addresses(self) -> list[Address]:
        """Return the addresses. Raises OSError. May be called after the end."""
        error, self._error = self._error, None
        if error is not None:
            try:
                raise error
            finally:
                del error  # Its traceback refers to this frame.
        return self._addresses

    def _run(self) -> None:
        try:
            self._addresses = list(socket.getaddrinfo(self._host, self._port, self._family, socket.SOCK_STREAM))
        except BaseException as error:  # noqa: BLE001 - raised by addresses()
            self._error = error
        finally:
            self.done.set()
