"""The cells: what one message is, and what is done with it. Each cell is a row of every flavour's table."""

from __future__ import annotations

import json
import random
from dataclasses import asdict, dataclass
from functools import cache
from typing import Literal, TypeAlias
from urllib.parse import quote, unquote

from polysocket import WebSocket

__all__ = ["CELLS", "KIB", "MANY", "MIB", "SMALL", "Cell", "Message", "Work", "payload", "possible"]

KIB = 1024
MIB = 1024 * KIB
SMALL = 128
MANY = 1000  # messages in a batch of receive_many and send_many: more than one read from the network returns
SEED = 6455  # the same messages in every process

Message: TypeAlias = str | bytes
Work: TypeAlias = Literal["round_trip", "receive", "receive_many", "send", "send_many", "open"]


@cache
def payload(size: int) -> bytes:
    """Return bytes as applications send them: JSON, which is valid as text (ASCII) and deflates to about a third."""
    values = random.Random(SEED)
    rows = b""
    while len(rows) < size:
        price, number = round(values.uniform(1, 999), 2), values.getrandbits(40)
        trade = {"symbol": values.choice("ABCD") * 3, "price": price, "id": number}
        rows += json.dumps(trade).encode() + b",\n"
        if len(rows) >= 8 * KIB:
            rows *= -(-size // len(rows))
    return rows[:size]


@dataclass(frozen=True, slots=True)
class Cell:
    """A kind of work with messages of one size."""

    work: Work
    size: int = SMALL
    text: bool = False
    deflated: bool = False
    fragments: int = 1
    is_tls: bool = False

    @property
    def name(self) -> str:
        """The name in tables and on the command line."""
        unit, suffix = (MIB, "mib") if self.size >= MIB else (KIB, "kib") if self.size >= KIB else (1, "b")
        parts = [
            "tls" if self.is_tls else "",
            self.work,
            "" if self.work == "open" else f"{self.size // unit}{suffix}",
            "deflated" if self.deflated else "text" if self.text else "",
            f"{self.fragments}-fragments" if self.fragments > 1 else "",
        ]
        return "-".join(filter(None, parts)).replace("_", "-")

    @property
    def path(self) -> str:
        """The path of the URL, which tells the server its part."""
        return "/" + quote(json.dumps(asdict(self)))

    @classmethod
    def of_path(cls, path: str) -> Cell:
        """Return the cell of a URL's path."""
        return cls(**json.loads(unquote(path[1:])))

    @property
    def message(self) -> bytes:
        """The message that is sent or received again and again."""
        return payload(self.size)

    @property
    def answer(self) -> bytes:
        """The last message that is received: the same one, or what follows many that were sent."""
        return b"done" if self.work in ("send", "send_many") else self.message

    def request(self, n: int) -> bytes:
        """Return the message before a stream of n messages in either direction."""
        return b"%d" % n

    def typed(self, content: bytes) -> Message:
        """Return a message as the cell's type, text or binary."""
        return content.decode() if self.text else content

    @property
    def is_pinned(self) -> bool:
        """Whether client and server share a processor, since a wake-up across processors takes more than the work."""
        return self.work in ("round_trip", "open")

    @property
    def clock(self) -> str:
        """The function of :mod:`time` that measures the work."""
        return "process_time" if self.work == "open" else "perf_counter"


CELLS = [
    Cell("round_trip"),
    Cell("round_trip", 512, text=True, deflated=True),
    Cell("round_trip", 64 * KIB),
    Cell("receive"),
    Cell("receive", text=True),
    Cell("receive_many"),
    Cell("receive", KIB, text=True, deflated=True),
    Cell("receive", KIB, fragments=8),
    Cell("receive", 64 * KIB),
    Cell("receive", MIB),
    Cell("send"),
    Cell("send_many"),
    Cell("send", 64 * KIB),
    Cell("send", MIB),
    Cell("round_trip", is_tls=True),
    Cell("round_trip", 64 * KIB, is_tls=True),
    Cell("open"),
]


def possible() -> list[Cell]:
    """Return the cells that this version of polysocket has the methods for."""
    return [cell for cell in CELLS if "many" not in cell.work or hasattr(WebSocket, cell.work)]
