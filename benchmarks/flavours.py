"""The flavours: the libraries to compare in each, and the function that runs their event loop."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from benchmarks.peers import ASYNCIO, BLOCKING, TRIO, Peer

__all__ = ["FLAVOURS", "Flavour", "is_importable"]

T = TypeVar("T")


def is_importable(module: str) -> bool:
    """Return whether a module can be imported."""
    try:
        importlib.import_module(module)
    except ImportError:
        return False
    return True


def _by_asyncio(program: Callable[[], Coroutine[Any, Any, T]]) -> T:
    return asyncio.run(program())


def _by_uvloop(program: Callable[[], Coroutine[Any, Any, T]]) -> T:
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(program())


def _by_trio(program: Callable[[], Coroutine[Any, Any, T]]) -> T:
    import trio

    return trio.run(program)


@dataclass(frozen=True, slots=True)
class Flavour:
    """A flavour with the libraries to compare."""

    name: str
    module: str  # must be importable
    run: Callable[..., Any] | None  # a program in the event loop; None if there is none
    peers: list[Peer]

    @property
    def is_installed(self) -> bool:
        """Whether the flavour's module can be imported."""
        return is_importable(self.module)

    def peer(self, name: str) -> Peer:
        """Return the library of this name."""
        return next(peer for peer in self.peers if peer.name == name)


FLAVOURS = {
    flavour.name: flavour
    for flavour in (
        Flavour("asyncio", "polysocket.asyncio", _by_asyncio, ASYNCIO),
        Flavour("uvloop", "uvloop", _by_uvloop, ASYNCIO),
        Flavour("blocking", "polysocket.blocking", None, BLOCKING),
        Flavour("trio", "trio", _by_trio, TRIO),
    )
}
