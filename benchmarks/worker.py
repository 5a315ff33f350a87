"""One contestant in a process of its own: ``python -m benchmarks.worker FLAVOUR PEER``.

The process reads a cell as a line of JSON, connects, and writes a line. Then it reads a number of messages, does the
cell's work with as many, and writes the seconds that it took; again and again, until the number is 0.
"""

from __future__ import annotations

import dataclasses
import gc
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from benchmarks.cells import Cell, Message
from benchmarks.clients import Target
from benchmarks.flavours import FLAVOURS
from benchmarks.peers import Peer

__all__ = ["Order", "work", "work_async"]

READY = "ready"


class Order(NamedTuple):
    """A cell to work on."""

    cell: Cell
    url: str
    authority: str
    clock: str  # a function of the module time
    cpu: int | None  # the processor to run on; None for any

    def __str__(self) -> str:
        return json.dumps(self._replace(cell=dataclasses.asdict(self.cell)))  # type: ignore[arg-type]

    @classmethod
    def of_line(cls, line: str) -> Order:
        """Return the order that was written as this line."""
        cell, *rest = json.loads(line)
        return cls(Cell(**cell), *rest)

    @property
    def target(self) -> Target:
        """The server to connect to."""
        return Target(self.cell, self.url, self.authority)


def _orders(cpus: set[int]) -> Iterator[Order]:
    for line in sys.stdin:
        order = Order.of_line(line)
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, cpus if order.cpu is None else {order.cpu})
        # Objects made before now must not slow down the garbage collections of the measured library.
        gc.collect()
        gc.freeze()
        yield order


def _counts() -> Iterator[int]:
    print(READY, flush=True)
    while count := int(sys.stdin.readline()):
        yield count


def _tell(peer: Peer, order: Order, seconds: float, answer: Message) -> None:
    if answer != order.cell.typed(order.cell.answer):
        raise RuntimeError(f"{peer.name} received another message than was sent to it in {order.cell.name}")
    judge = sys.modules.get("polysocket._core.judge")
    if judge is not None and judge.verdicts["valid data frame"]:
        raise RuntimeError(f"polysocket passed a valid data frame to wsproto in {order.cell.name}")
    print(seconds, flush=True)


def work(peer: Peer, orders: Iterator[Order]) -> None:
    """Work on cells with a blocking library."""
    for order in orders:
        cell, target, clock = order.cell, order.target, _clock(order)
        if cell.work == "open":
            for count in _counts():
                start = clock()
                for _ in range(count):
                    with peer.open(target):
                        pass
                _tell(peer, order, clock() - start, cell.typed(cell.answer))
            continue
        with peer.open(target) as client:
            for count in _counts():
                start = clock()
                answer = client.work(cell, count)
                _tell(peer, order, clock() - start, answer)


async def work_async(peer: Peer, orders: Iterator[Order]) -> None:
    """Work on cells with an asynchronous library in the running event loop."""
    for order in orders:
        cell, target, clock = order.cell, order.target, _clock(order)
        if cell.work == "open":
            for count in _counts():
                start = clock()
                for _ in range(count):
                    async with peer.open(target):
                        pass
                _tell(peer, order, clock() - start, cell.typed(cell.answer))
            continue
        async with peer.open(target) as client:
            for count in _counts():
                start = clock()
                answer = await client.work(cell, count)
                _tell(peer, order, clock() - start, answer)


def _clock(order: Order) -> Callable[[], float]:
    clock: Callable[[], float] = getattr(time, order.clock)
    return clock


def main() -> None:
    """Work in the flavour with the library until the standard input ends."""
    flavour, name = FLAVOURS[sys.argv[1]], sys.argv[2]
    peer = flavour.peer(name)
    orders = _orders(os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set())
    if flavour.run is None:
        work(peer, orders)
    else:
        flavour.run(lambda: work_async(peer, orders))


if __name__ == "__main__":
    main()
