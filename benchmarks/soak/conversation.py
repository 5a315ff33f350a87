"""The traffic of one connection: numbered messages with checksums, in bursts, and the check of each echo.

All libraries have the same conversation, since the pseudo-random numbers begin with the connection's number.
"""

from __future__ import annotations

import random
import weakref
import zlib
from functools import cache

__all__ = ["MEAN_BURST", "Conversation", "Damaged"]

SIZES = [(0, 125), (126, 4096), (16_384, 65_536)]  # characters of text, or bytes; the last two need longer headers
WEIGHTS = [75, 20, 5]  # percent; most messages of applications are small
LONGEST_BURST = 8  # messages
# A library may send a burst without reading its echoes. More than sockets buffer by default would block both sides.
LARGEST_BURST = 32_768  # bytes, after which the next message belongs to another burst
MEAN_BURST = 4  # messages, measured
PINGED = 0.1  # share of the bursts that begin with a Ping
REOPENED = 0.1  # share of the bursts after which the connection is closed and opened again
COMPRESSED = 4  # every fourth connection offers compression
FILLING = 2 * SIZES[-1][1]


class Damaged(Exception):
    """An echo that is not the message that is due."""


@cache
def _filling() -> tuple[str, bytes]:
    """Return text with characters of one to four bytes in UTF-8, and bytes; neither repeats itself."""
    source = random.Random(0)
    return "".join(source.choices("websocket {}:é☕𝄞", k=FILLING)), source.randbytes(FILLING)


class Conversation:
    """The messages of one connection (and of those opened in its place), and what has become of them."""

    def __init__(self, connection: int) -> None:
        self.offers_compression = connection % COMPRESSED == 0
        self.opened = self.sent = self.received = self.pings = 0
        self.failures: list[str] = []
        self._websockets: list[weakref.ref[object]] = []
        self._connection = connection
        self._made = self._due = 0
        self._random = random.Random(connection)

    def burst(self) -> list[str | bytes]:
        """Return the next messages to send before their echoes are received."""
        self._due = self._made  # Echoes of a burst that failed are lost.
        messages: list[str | bytes] = []
        size = 0
        for _ in range(self._random.randint(1, LONGEST_BURST)):
            messages.append(self._message())
            size += len(messages[-1])
            if size > LARGEST_BURST:
                break
        return messages

    def check(self, echo: str | bytes) -> None:
        """Count the echo, or raise :class:`Damaged` if it is not the message that is due."""
        is_text = isinstance(echo, str)
        data = echo.encode() if isinstance(echo, str) else echo
        head, _, body = data.partition(b"|")
        due = b"%d %d %d " % (self._connection, self._due, is_text)
        if not head.startswith(due):
            raise Damaged(f"received {head[:60]!r}, but {due!r} is due")
        if head != due + b"%d" % zlib.crc32(body):
            raise Damaged(f"the checksum of {head[:60]!r} is wrong")
        self._due += 1
        self.received += 1

    def saw(self, websocket: object) -> None:
        """Remember a connection, without keeping it alive."""
        self._websockets.append(weakref.ref(websocket))

    @property
    def unfreed(self) -> int:
        """The number of connections, all closed by now, whose objects are still there."""
        return sum(each() is not None for each in self._websockets)

    @property
    def lost(self) -> int:
        """The number of messages without a right echo."""
        return self.sent - self.received

    def is_pinging(self) -> bool:
        """Return whether a Ping precedes the next burst."""
        return self._random.random() < PINGED

    def is_reopening(self) -> bool:
        """Return whether to close the connection after a burst and open another one."""
        return self._random.random() < REOPENED

    def pause(self, mean: float) -> float:
        """Return the seconds to wait before the next burst."""
        return self._random.uniform(0.0, 2.0 * mean)

    def _message(self) -> str | bytes:
        number, self._made = self._made, self._made + 1
        size = self._random.randint(*self._random.choices(SIZES, WEIGHTS)[0])
        start = self._random.randrange(FILLING - size)
        text, data = _filling()
        is_text = self._random.random() < 0.5
        body = text[start : start + size].encode() if is_text else data[start : start + size]
        message = b"%d %d %d %d|%s" % (self._connection, number, is_text, zlib.crc32(body), body)
        return message.decode() if is_text else message
