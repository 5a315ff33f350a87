"""The flavours: the libraries in each, and the function that runs them."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.measurements import Measurement
from benchmarks.peers import ASYNCIO_PEERS, BLOCKING_PEERS, TRIO_PEERS, Peer, Target
from benchmarks.rounds import Clock, Rounds, measure_async, measure_blocking

__all__ = ["FLAVOURS", "Flavour"]


@dataclass(frozen=True, slots=True)
class Flavour:
    """A flavour with the libraries to compare."""

    name: str
    module: str  # must be importable
    measure: Callable[[Mapping[str, Any], Target, Measurement, float, Clock], Rounds]
    peers: list[Peer[Any]]

    @property
    def is_installed(self) -> bool:
        """Whether the flavour's module can be imported."""
        return is_importable(self.module)

    def installed(self) -> list[Peer[Any]]:
        """Return the libraries that can be imported."""
        return [peer for peer in self.peers if is_importable(peer.module)]


def is_importable(module: str) -> bool:
    try:
        importlib.import_module(module)
    except ImportError:
        return False
    return True


def _by_asyncio(*arguments: Any) -> Rounds:
    return asyncio.run(measure_async(*arguments))


def _by_uvloop(*arguments: Any) -> Rounds:
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(measure_async(*arguments))


def _by_trio(*arguments: Any) -> Rounds:
    import trio

    return trio.run(measure_async, *arguments)


FLAVOURS = [
    Flavour("blocking", "polysocket.blocking", measure_blocking, list(BLOCKING_PEERS)),
    Flavour("asyncio", "polysocket.asyncio", _by_asyncio, list(ASYNCIO_PEERS)),
    Flavour("uvloop", "uvloop", _by_uvloop, list(ASYNCIO_PEERS)),
    Flavour("trio", "trio", _by_trio, list(TRIO_PEERS)),
]
