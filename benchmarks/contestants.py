"""The contestants of a flavour's table: the physical limit, each build of polysocket, and the other libraries."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import polysocket
from benchmarks.cells import Cell
from benchmarks.flavours import FLAVOURS, Flavour, is_importable
from benchmarks.peers import LIMIT, OURS
from benchmarks.server import ROOT
from benchmarks.worker import Order

__all__ = ["COMPILED", "ON_ASYNCIO", "OWN", "PURE", "Contestant", "Worker", "builds", "contestants", "working"]

COMPILED, PURE = "polysocket compiled", "polysocket pure"
ON_ASYNCIO = "polysocket on asyncio"  # beside polysocket on uvloop
OWN = {LIMIT, COMPILED, PURE, ON_ASYNCIO}  # all others are libraries to compare with


def builds() -> list[str]:
    """Return the builds of polysocket that can be measured, the best one first."""
    return [COMPILED, PURE] if getattr(polysocket, "is_compiled", False) else [PURE]


@dataclass(frozen=True, slots=True)
class Contestant:
    """A column of the table."""

    name: str
    flavour: str
    peer: str

    def can_do(self, cell: Cell) -> bool:
        """Return whether it can take part in a cell."""
        return FLAVOURS[self.flavour].peer(self.peer).compresses or not cell.deflated


def contestants(flavour: Flavour, *, extra: bool = False) -> list[Contestant]:
    """Return the contestants that are installed."""
    ours = [Contestant(build, flavour.name, OURS) for build in builds()]
    if flavour.name == "uvloop":
        ours.append(Contestant(ON_ASYNCIO, "asyncio", OURS))
    others = [
        Contestant(peer.name, flavour.name, peer.name)
        for peer in flavour.peers
        if peer.name not in (LIMIT, OURS) and is_importable(peer.module) and (extra or not peer.is_extra)
    ]
    return [Contestant(LIMIT, "blocking", LIMIT), *ours, *others]


class Worker:
    """The process of a contestant."""

    def __init__(self, contestant: Contestant, process: subprocess.Popen[str]) -> None:
        self._contestant = contestant
        self._process = process

    def begin(self, order: Order) -> None:
        """Connect."""
        self._ask(order)

    def work(self, count: int) -> float:
        """Do the cell's work with as many messages; return the seconds it took."""
        return float(self._ask(count))

    def end(self) -> None:
        """Close the connection, before the next cell begins."""
        self._write(0)

    def _ask(self, question: object) -> str:
        self._write(question)
        assert self._process.stdout is not None
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{self._contestant.name} ({self._contestant.flavour}) has failed")
        return answer

    def _write(self, line: object) -> None:
        assert self._process.stdin is not None
        print(line, file=self._process.stdin, flush=True)


@contextmanager
def working(contestant: Contestant) -> Iterator[Worker]:
    """Run the worker of a contestant."""
    command = [sys.executable, "-m", "benchmarks.worker", contestant.flavour, contestant.peer]
    environment = {**os.environ, **({"POLYSOCKET_PURE": "1"} if contestant.name == PURE else {})}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Worker(contestant, process)
        except BaseException:
            process.kill()
            raise
