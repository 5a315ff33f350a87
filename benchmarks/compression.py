"""Print what the settings of a compressor save and cost: ``python -m benchmarks.compression``.

Each row has the memory that zlib allocates for one compressor. Then, for each kind of traffic, it has the bytes that
are sent in percent of the payload, and the microseconds for a message. The messages of a kind share one compressor, as
those of a connection with context takeover do.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import re
import time
import tracemalloc
import zlib
from collections.abc import Iterator
from pydoc_data.topics import topics

from benchmarks.cells import KIB, SEED
from benchmarks.wire import FLUSHED

__all__ = ["allocated", "main", "measured", "traffic"]

WINDOW_BITS = [9, 10, 11, 12, 13, 14, 15]
MEMORY_LEVELS = [1, 2, 3, 4, 5, 6, 7, 8, 9]
LEVELS = [1, 6, 9]
ROUNDS = 3  # the fastest one counts


def _event(values: random.Random) -> dict[str, object]:
    return {
        "type": values.choice(["created", "updated", "deleted"]),
        "id": f"{values.getrandbits(64):016x}",
        "time": f"2026-11-{values.randint(1, 30):02}T{values.randint(0, 23):02}:{values.randint(0, 59):02}:00.000Z",
        "user": {"id": values.randint(1, 5000), "name": values.choice(["alice", "bob", "carol", "dave"])},
        "price": round(values.uniform(1, 999), 2),
        "tags": values.sample(["new", "sale", "gift", "large", "fragile", "express"], 2),
    }


def _events(values: random.Random, least: int, most: int) -> bytes:
    return json.dumps([_event(values) for _ in range(values.randint(least, most))]).encode()


def traffic() -> dict[str, list[bytes]]:
    """Return messages of each kind."""
    values = random.Random(SEED)
    sentences = re.split(r"(?<=[.:])\s+", " ".join(" ".join(topics.values()).split()))
    return {
        "JSON, 0.2 to 2 KiB": [_events(values, 1, 10) for _ in range(300)],
        "JSON, 16 to 64 KiB": [_events(values, 85, 330) for _ in range(10)],
        "English sentences": [sentence.encode() for sentence in sentences[:1500]],
        "noise, 1 KiB": [values.randbytes(KIB) for _ in range(200)],
    }


def measured(messages: list[bytes], window_bits: int, memory_level: int, level: int) -> tuple[float, float]:
    """Return the bytes that are sent for each byte of payload, and the seconds for a message."""
    seconds: list[float] = []
    sent = 0
    for _ in range(ROUNDS):
        start = time.perf_counter()
        stream = zlib.compressobj(level, zlib.DEFLATED, -window_bits, memory_level)
        sent = sum(len(stream.compress(each) + stream.flush(zlib.Z_SYNC_FLUSH)) - len(FLUSHED) for each in messages)
        seconds.append(time.perf_counter() - start)
    return sent / sum(map(len, messages)), min(seconds) / len(messages)


def allocated(window_bits: int, memory_level: int) -> int:
    """Return the bytes that zlib allocates for one compressor."""
    tracemalloc.start()
    stream = zlib.compressobj(wbits=-window_bits, memLevel=memory_level)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del stream
    return size


def rows(window_bits: list[int], memory_levels: list[int], levels: list[int]) -> Iterator[list[str]]:
    """Yield the table: its header, and a row for each combination."""
    kinds = traffic()
    header = ["window bits", "memory level", "level", "KiB", *kinds]
    yield header
    yield ["---"] * len(header)
    for bits, memory_level, level in itertools.product(window_bits, memory_levels, levels):
        row = [str(bits), str(memory_level), str(level), f"{allocated(bits, memory_level) / KIB:.0f}"]
        for messages in kinds.values():
            ratio, seconds = measured(messages, bits, memory_level, level)
            row.append(f"{ratio:.1%}, {seconds * 1e6:.1f} µs")
        yield row


def main() -> None:
    """Print a row for each combination of the settings."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compression", description=__doc__)
    for name, every in (("bits", WINDOW_BITS), ("memory-levels", MEMORY_LEVELS), ("levels", LEVELS)):
        parser.add_argument(f"--{name}", type=int, nargs="+", default=every, help="default: all")
    chosen = parser.parse_args()
    for row in rows(chosen.bits, chosen.memory_levels, chosen.levels):
        print("|", " | ".join(row), "|", flush=True)


if __name__ == "__main__":
    main()
