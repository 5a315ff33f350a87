"""Happy eyeballs (RFC 8305) for asyncio: addresses are tried one after the other, each a little behind the one before.

asyncio's own leave tasks and sockets behind where they are cancelled (seen in Python 3.11), and uvloop has none.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any

__all__ = ["first_connected"]

HAPPY_EYEBALLS_DELAY = 0.25  # seconds (RFC 8305 §8)


async def first_connected(host: str, port: int) -> socket.socket:
    """The first socket that connects to one of the host's addresses; the others are closed. Raises OSError."""
    addresses = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    attempts: list[asyncio.Task[socket.socket]] = []
    won: socket.socket | None = None
    try:
        for address in addresses:
            attempts.append(asyncio.create_task(_connected(address)))
            if (won := await _winner(attempts, HAPPY_EYEBALLS_DELAY)) is not None:
                break
        while won is None and not all(attempt.done() for attempt in attempts):
            won = await _winner(attempts, None)
        await _end(attempts)
    except BaseException:
        won = None
        await _end(attempts)
        raise
    finally:
        for sock in _sockets(attempts):
            if sock is not won:
                sock.close()
    if won is not None:
        return won
    errors = [attempt.exception() for attempt in attempts]
    failures = ExceptionGroup("attempts", [error for error in errors if isinstance(error, Exception)])
    raise OSError(f"no address of {host} could be reached") from failures


async def _end(attempts: list[asyncio.Task[socket.socket]]) -> None:
    for attempt in attempts:
        attempt.cancel()
    await asyncio.gather(*attempts, return_exceptions=True)


def _sockets(attempts: list[asyncio.Task[socket.socket]]) -> list[socket.socket]:
    ended = [attempt for attempt in attempts if attempt.done() and not attempt.cancelled()]
    return [attempt.result() for attempt in ended if attempt.exception() is None]


async def _winner(attempts: list[asyncio.Task[socket.socket]], delay: float | None) -> socket.socket | None:
    """Wait until an attempt ends; its socket, where there is one."""
    waiting = [attempt for attempt in attempts if not attempt.done()]
    done, _ = await asyncio.wait(waiting, timeout=delay, return_when=asyncio.FIRST_COMPLETED)
    return next((attempt.result() for attempt in done if attempt.exception() is None), None)


async def _connected(address: tuple[Any, ...]) -> socket.socket:
    family, kind, proto, _, where = address
    sock = socket.socket(family, kind, proto)
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, where)
    except BaseException:
        sock.close()
        raise
    return sock
