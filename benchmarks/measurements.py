"""The measurements: how many messages are sent and received, of which size and type.

Each library repeats a *batch*: some sends, then some receives. The URL tells the server its part. A round trip sends
one message and receives its echo. To measure receiving, one message asks for a stream of many. To measure sending, many
messages are sent, and the server answers the last one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

__all__ = ["KINDS", "MEASUREMENTS", "Measurement", "payload"]

KIB = 1024
MIB = 1024 * KIB
SMALL = 128
TEXT = b'{"channel": "trades", "symbol": "XYZ", "price": 101.25, "size": 300, "side": "buy"}\n'


@cache
def payload(size: int) -> bytes:
    """Return bytes as applications send them: JSON, which is valid as text (ASCII) and can be compressed."""
    return (TEXT * (size // len(TEXT) + 1))[:size]


@dataclass(frozen=True, slots=True)
class Measurement:
    """One row of the table."""

    kind: str
    size: int
    text: bool = False
    sends: int = 1
    receives: int = 1
    compression: bool = False

    @property
    def messages(self) -> int:
        """The number of messages in a batch; the table shows the time of one."""
        return max(self.sends, self.receives)

    @property
    def path(self) -> str:
        """The path of the URL, which tells the server what to do."""
        if self.receives > 1:
            return f"/stream?n={self.receives}&size={self.size}"
        return f"/sink?n={self.sends}" if self.sends > 1 else "/echo"

    @property
    def request(self) -> str | bytes:
        """The message to send."""
        return self._message(b"go" if self.receives > 1 else payload(self.size))

    @property
    def answer(self) -> str | bytes:
        """The message that is received, at least as the last one of a batch."""
        return self._message(str(self.sends).encode() if self.sends > 1 else payload(self.size))

    def _message(self, content: bytes) -> str | bytes:
        return content.decode() if self.text else content

    @property
    def label(self) -> str:
        """The name in the table."""
        unit, name = (MIB, "MiB") if self.size >= MIB else (KIB, "KiB") if self.size >= KIB else (1, "B")
        return f"{self.kind} {self.size // unit} {name} {'text' if self.text else 'binary'}"

    @property
    def is_promised(self) -> bool:
        """Whether ``--check`` judges this measurement: the small round trip."""
        return self.kind == "roundtrip" and self.size == SMALL


MEASUREMENTS = [
    *(Measurement("roundtrip", size, text) for size in (SMALL, 64 * KIB, MIB) for text in (True, False)),
    *(Measurement("receive", SMALL, text, receives=1000) for text in (True, False)),
    *(Measurement("receive", 64 * KIB, text, receives=32) for text in (True, False)),
    Measurement("send", SMALL, text=True, sends=200),
    Measurement("send", 64 * KIB, sends=16),
    Measurement("compression", 4 * KIB, text=True, compression=True),
]
KINDS = list(dict.fromkeys(measurement.kind for measurement in MEASUREMENTS))
