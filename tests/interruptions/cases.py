"""The cases of the machines: which are run, and how they have ended."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import random
import stat
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, Iterator
from types import TracebackType
from typing import Any, Self

from tests.interruptions.conversation import Calls, Variant

__all__ = ["MOST_FAILURES", "Case", "Cases", "drive", "open_sockets"]

MOST_FAILURES = 100  # of a machine, after which something fails in each case
LONGEST = 60  # seconds after which a case that nothing else ends shows where it hangs, and ends the process


class Case:
    """One conversation with one interruption; a ``with`` block runs it and notes how it ends."""

    def __init__(self, machine: str, variant: Variant, style: str, position: int) -> None:
        self.name = f"{machine} {variant.transport} {variant.compression} {style} {position}"
        self.position = position
        self.count = 0
        """How often the conversation could have been interrupted, up to the interruption."""
        self.failure: str | None = None
        self.notes: list[str] = []
        """The place at which the interruption came, and other things that explain a failure."""
        self.interrupted: object = None
        """The program that was interrupted, which holds what its traceback shows."""

    @property
    def path(self) -> str:
        """The path of the URL that the case connects to."""
        return "/" + self.name.replace(" ", "/")

    def __enter__(self) -> Self:
        faulthandler.dump_traceback_later(LONGEST, exit=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> bool:
        faulthandler.cancel_dump_traceback_later()
        if error is None or isinstance(error, KeyboardInterrupt):
            return False
        self.failure = "".join(traceback.format_exception(error))
        return True


class Cases:
    """The cases of one machine that are to be run, and their figures."""

    def __init__(self, machine: str, sample: int | None, seed: int, only: str | None, most_failures: int) -> None:
        self.failures: list[Case] = []
        self._machine = machine
        self._sample = sample
        self._random = random.Random(f"{seed} {machine}")
        self._only = only
        self._most_failures = most_failures

    def of(self, variant: Variant, style: str) -> Iterator[Case]:
        """Yield the cases of a conversation; each must have its ``count`` when the next one is asked for."""
        began = time.monotonic()
        number = failed = total = 0
        for case in self._positions(variant, style):
            if len(self.failures) >= self._most_failures:
                break
            yield case
            number += 1
            total = max(total, case.count)
            if case.failure is not None:
                failed += 1
                self.failures.append(case)
                print(f"FAILED {case.name}: {'; '.join(case.notes)}\n{case.failure}", flush=True)
        if number:
            seconds = time.monotonic() - began
            name = f"{self._machine} {variant.transport} {variant.compression} {style}"
            print(f"{name}: {total} places, {number} cases, {failed} failed, {seconds:.1f} s", flush=True)

    def _positions(self, variant: Variant, style: str) -> Iterator[Case]:
        def case(position: int) -> Case:
            return Case(self._machine, variant, style, position)

        if self._only is not None:
            name, _, number = self._only.rpartition(" ")
            if case(0).name.startswith(name + " "):
                yield case(int(number))
            return
        if self._sample is not None:
            yield (whole := case(sys.maxsize))
            places = range(1, whole.count + 1)
            yield from map(case, sorted(self._random.sample(places, min(self._sample, len(places)))))
            return
        position = 0
        while True:  # until the conversation ends before its turn: how often it waits depends on the network
            position += 1
            yield (current := case(position))
            if current.count < position and current.failure is None:
                return


async def drive(calls: Calls, make: Callable[[Callable[[], Any]], Awaitable[Any]]) -> None:
    """Make the calls of a conversation, one after the other."""
    resume: Callable[[], Any] = lambda: next(calls)  # noqa: E731
    while True:
        try:
            call = resume()
        except StopIteration:
            return
        try:
            result = await make(call)
        except Exception as error:  # noqa: BLE001 - raised by the conversation, unless it expects it
            resume = _throwing(calls, error)
        else:
            resume = _sending(calls, result)


def _throwing(calls: Calls, error: Exception) -> Callable[[], Any]:
    return lambda: calls.throw(error)


def _sending(calls: Calls, result: Any) -> Callable[[], Any]:
    return lambda: calls.send(result)


def open_sockets() -> set[tuple[int, int]]:
    """Return the sockets of this process."""
    sockets: set[tuple[int, int]] = set()
    for name in os.listdir("/dev/fd"):  # noqa: PTH208 - fast: it is called in each case
        with contextlib.suppress(OSError):  # its own descriptor of the folder is closed
            status = os.fstat(int(name))
            if stat.S_ISSOCK(status.st_mode):
                sockets.add((int(name), status.st_ino))
    return sockets
