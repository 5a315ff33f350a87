"""Count the Python calls, locks and nested coroutines that one small message takes: ``python -m benchmarks.calls``.

Counts, unlike times, are the same on every machine and every supported Python, except that closing an unfinished
generator counts as a call up to Python 3.11. They come from :func:`sys.setprofile`, which coverage leaves alone.
``tests/unit/test_calls.py`` holds the ceilings.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import inspect
import select
import socket
import sys
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import cache, partial
from types import FrameType, TracebackType
from typing import Any, NamedTuple, Self

from benchmarks.scripted_peer import ScriptedPeer
from polysocket import Text
from polysocket.effects.blocking import BlockingEffect
from polysocket.effects.readiness import WaitLoop

__all__ = ["FLAVOURS", "HERE", "MESSAGES", "OPERATIONS", "Counts", "count", "is_possible"]

SMALL = '{"channel": "trades", "price": 101.25}'
TIMEOUT = 60.0  # seconds; no operation of a benchmark takes that long
REPETITIONS = 3  # of a count, of which the lowest is right: a timer or the garbage collector may add calls to one

WAIT_LOOP, WORKER = "polysocket wait loop", "polysocket worker"  # threads that last as long as a threaded websocket
POLLING = {"control", "poll"}  # the methods of select's objects by which every flavour waits, but on Windows
CONNECTING = {"connect", "connect_ex"}
LOCK_CALLS = {"acquire", "acquire_lock", "__exit__"}  # "with lock" shows only its __exit__ to a profiler (3.11 to 3.13)
LOCK_TYPES = (type(threading.Lock()), type(threading.RLock()))
# A comprehension is a call of its own up to Python 3.11, but not from 3.12 on (PEP 709).
INLINED = {"<listcomp>", "<setcomp>", "<dictcomp>"}
IS_COROUTINE = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR


class Counts(NamedTuple):
    """The counts of one operation."""

    calls: int
    """Calls of polysocket's own Python functions, resumptions of coroutines included."""
    locks: int
    """Locks that polysocket's functions take, by themselves or by an Event, a Condition or a Future."""
    coroutines: int
    """Coroutines of polysocket that await one another, at the deepest point."""

    def __str__(self) -> str:
        return f"{self.calls:4}{self.locks:4}{self.coroutines:4}"


class Profile:
    """A profiler of this thread and of all that begin in its ``with``; it counts from :meth:`start` to :meth:`stop`.

    The peer acts whenever the client is about to wait for it. What the wait loop of threads does meanwhile depends on
    timing, and is not counted.
    """

    def __init__(self, peer: ScriptedPeer) -> None:
        self._peer = peer
        self._is_counting = False
        # Lists, whose append() is atomic: several threads may count at a time.
        self._depths: list[int] = []
        self._locks: list[str] = []

    def start(self) -> None:
        """Count from now on."""
        self._is_counting = True

    def stop(self) -> None:
        """Count no more."""
        self._is_counting = False

    def counts(self) -> Counts:
        """Return the counts."""
        return Counts(len(self._depths), len(self._locks), max(self._depths, default=0))

    def __enter__(self) -> Self:
        for thread in threading.enumerate():
            if thread.name in (WAIT_LOOP, WORKER):
                thread.join(TIMEOUT)  # Another profiler has them.
        self._outer = sys.getprofile(), threading.getprofile()
        threading.setprofile(self._hook_of_thread)
        sys.setprofile(self._hook)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        own, of_threads = self._outer
        sys.setprofile(own)
        threading.setprofile(of_threads)

    def _hook_of_thread(self, frame: FrameType, event: str, function: Any) -> None:
        sys.setprofile(None if threading.current_thread().name == WAIT_LOOP else self._hook)

    def _hook(self, frame: FrameType, event: str, function: Any) -> None:
        if event == "call":
            if self._is_counting and _is_counted(frame):
                self._depths.append(_depth(frame))
            if frame.f_code is WaitLoop.post.__code__ and not frame.f_locals["wait"].is_woken:
                self._peer.step()
        elif event == "c_call":
            if self._is_counting and _takes_lock(function) and _is_on_our_behalf(frame):
                self._locks.append(function.__name__)
            if function.__name__ in CONNECTING and isinstance(function.__self__, socket.socket):
                self._peer.expect_client()
            elif _waits(function) and frame.f_locals.get("timeout") != 0:  # an event loop's look without waiting
                self._peer.step()


def _is_ours(frame: FrameType) -> bool:
    """Return whether the frame's function was made in a module of polysocket, also by ``@dataclass`` there."""
    module = frame.f_globals.get("__name__", "")
    return module == "polysocket" or (module.startswith("polysocket.") and not module.startswith("polysocket.testing"))


def _is_counted(frame: FrameType) -> bool:
    if frame.f_code.co_name in INLINED:
        return False
    is_generated = frame.f_code.co_filename == "<string>" or frame.f_globals.get("__name__", "").startswith(
        "namedtuple_"
    )
    return _is_ours(frame) or (is_generated and frame.f_back is not None and _is_ours(frame.f_back))


def _depth(frame: FrameType | None) -> int:
    depth = 0
    while frame is not None:
        depth += bool(frame.f_code.co_flags & IS_COROUTINE) and _is_ours(frame)
        frame = frame.f_back
    return depth


def _waits(function: Any) -> bool:
    is_method = function.__name__ in POLLING and type(function.__self__).__module__ == "select"
    return is_method or function is select.select


def _takes_lock(function: Any) -> bool:
    return function.__name__ in LOCK_CALLS and isinstance(getattr(function, "__self__", None), LOCK_TYPES)


def _is_on_our_behalf(frame: FrameType | None) -> bool:
    """Return whether polysocket's code takes the lock, directly or via the standard library's classes for threads.

    How many locks it takes to start a thread depends on timing, so they are not counted.
    """
    while frame is not None and frame.f_globals.get("__name__") in ("threading", "concurrent.futures._base"):
        if frame.f_code is threading.Thread.start.__code__:
            return False
        frame = frame.f_back
    return frame is not None and _is_ours(frame)


# Flavours: how a call's result is waited for, and what runs all


async def _plain(value: Any) -> Any:
    return value


async def _future(value: Any) -> Any:
    return value.result()


async def _awaitable(value: Any) -> Any:
    return await value


def _run_without_loop(program: Callable[[], Coroutine[Any, Any, Any]]) -> None:
    try:
        program().send(None)
    except StopIteration:
        return
    raise AssertionError("a program in this flavour never suspends")


def _run_asyncio(program: Callable[[], Coroutine[Any, Any, Any]]) -> None:
    asyncio.run(program())


def _run_trio(program: Callable[[], Coroutine[Any, Any, Any]]) -> None:
    import trio.testing

    from polysocket.effects.trio import TrioEffect

    async def main() -> None:
        TrioEffect().call_later(TIMEOUT, int)  # It starts the system task of keepalive, as an earlier websocket does.
        await trio.testing.wait_all_tasks_blocked()
        await program()

    trio.run(main)


@dataclass(frozen=True, slots=True)
class Flavour:
    """How results are waited for in a flavour."""

    settle: Callable[[Any], Coroutine[Any, Any, Any]]
    run: Callable[[Callable[[], Coroutine[Any, Any, Any]]], None]


FLAVOURS = {
    "blocking": Flavour(_plain, _run_without_loop),
    "threaded": Flavour(_future, _run_without_loop),
    "asyncio": Flavour(_awaitable, _run_asyncio),
    "trio": Flavour(_awaitable, _run_trio),
}


# Operations: what is done to a websocket, once to warm up and once to be counted


def _method(name: str, *arguments: Any, **options: Any) -> Callable[..., Callable[[], Any]]:
    def prepare(ws: Any, timeout: dict[str, float]) -> Callable[[], Any]:
        return lambda: getattr(ws, name)(*arguments, **options, **timeout)

    return prepare


def _iteration(ws: Any, timeout: dict[str, float]) -> Callable[[], Any]:
    try:
        synchronous = iter(ws)
    except TypeError:
        asynchronous = aiter(ws)
        return lambda: anext(asynchronous)
    return lambda: next(synchronous)


@dataclass(frozen=True, slots=True)
class Operation:
    """A call of a websocket; ``message`` is what the peer sends for it."""

    prepare: Callable[[Any, dict[str, float]], Callable[[], Any]]
    message: str | bytes | None = None
    takes_timeout: bool = False


OPERATIONS = {
    "receive_text": Operation(_method("receive_text"), SMALL, takes_timeout=True),
    "receive_binary": Operation(_method("receive_binary"), SMALL.encode(), takes_timeout=True),
    "receive_message": Operation(_method("receive_message"), SMALL, takes_timeout=True),
    "receive": Operation(_method("receive"), SMALL, takes_timeout=True),
    "iterate": Operation(_iteration, SMALL),
    "receive_many": Operation(_method("receive_many", max=1), SMALL, takes_timeout=True),
    "send_text": Operation(_method("send_text", SMALL)),
    "send_binary": Operation(_method("send_binary", SMALL.encode())),
    "send": Operation(_method("send", Text(SMALL))),
    "send_many": Operation(_method("send_many", [SMALL])),
    "send_many of 10": Operation(_method("send_many", [SMALL] * 10)),
    "ping": Operation(_method("ping"), takes_timeout=True),
}
CONNECT = "connect"
HERE = "already here"
MESSAGES = [name for name, operation in OPERATIONS.items() if operation.message is not None]
"""The operations that receive a message, which may be already here or has to be waited for."""


def is_possible(flavour: str, operation: str) -> bool:
    """Return whether the flavour has the operation: the threaded one has no iteration."""
    return (flavour, operation) != ("threaded", "iterate")


def count(
    flavour: str,
    operation: str,
    *,
    waits: bool = False,
    tls: bool = False,
    compression: bool = False,
    timeout: float | None = None,
    keepalive: bool = True,
) -> Counts:
    """Count what one operation takes.

    ``operation`` is ``"connect"`` or one of :data:`OPERATIONS`. The message to be received is already here, unless it
    ``waits`` for it. ``compression`` is agreed on or not; the client's offer is the default one. ``keepalive`` is on,
    as by default, or off.
    """
    # The thread of keepalive starts outside of any profile, as with the first websocket of a process.
    end_keepalive = BlockingEffect().call_later(TIMEOUT, int)
    try:
        if operation == CONNECT:
            once = partial(_count_connect, flavour, tls, compression)
            once()  # the first call in a process imports and caches
        else:
            options = {} if timeout is None else {"timeout": timeout}
            once = partial(
                _count_operation, flavour, OPERATIONS[operation], waits, tls, compression, options, keepalive
            )
        return min(once() for _ in range(REPETITIONS))
    finally:
        end_keepalive()


def _count_operation(
    flavour: str,
    operation: Operation,
    waits: bool,
    tls: bool,
    compression: bool,
    options: dict[str, float],
    keepalive: bool,
) -> Counts:
    with ScriptedPeer(tls=tls, compression=compression) as peer, Profile(peer) as profile:
        connect = partial(_connect(flavour), peer.url, **peer.client_options)
        if not keepalive:
            connect = partial(connect, ping_interval=None)
        FLAVOURS[flavour].run(lambda: _operate(flavour, connect, operation, peer, profile, waits, options))
    return profile.counts()


async def _operate(
    flavour: str,
    connect: Callable[[], Any],
    operation: Operation,
    peer: ScriptedPeer,
    profile: Profile,
    waits: bool,
    options: dict[str, float],
) -> None:
    settle = FLAVOURS[flavour].settle
    ws = await settle(connect())
    call = operation.prepare(ws, options)
    message = operation.message
    if message is not None and not waits:
        peer.say(message, message, message)
        await settle(call())
    for counts in (False, True):
        if message is not None and waits:
            peer.say(message)
        if counts:
            profile.start()
        result = await settle(call())
        profile.stop()
        if message is not None and result not in (message, Text(SMALL), [message]):
            raise AssertionError(f"received {result!r}, not the message that was sent")
    await settle(ws.close())


def _count_connect(flavour: str, tls: bool, compression: bool) -> Counts:
    settle, run = FLAVOURS[flavour].settle, FLAVOURS[flavour].run
    with ScriptedPeer(tls=tls, compression=compression) as peer, Profile(peer) as profile:

        async def program() -> None:
            connect, url, options = _connect(flavour), peer.url, peer.client_options
            profile.start()
            ws = await settle(connect(url, **options))
            profile.stop()
            await settle(ws.close())

        run(program)
    return profile.counts()


@cache
def _connect(flavour: str) -> Callable[..., Any]:
    connect: Callable[..., Any] = importlib.import_module(f"polysocket.{flavour}").connect
    return connect


# The table

COLUMNS = {
    f"{'TLS' if tls else 'plain'}{', deflate' if compression else ''}": {"tls": tls, "compression": compression}
    for tls in (False, True)
    for compression in (False, True)
}


def rows(flavour: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Return the rows of a flavour: a label, the operation, and its arguments."""
    found: list[tuple[str, str, dict[str, Any]]] = []
    for name, operation in OPERATIONS.items():
        if not is_possible(flavour, name):
            continue
        for waits in (False, True) if name in MESSAGES else (False,):
            for timeout in (None, TIMEOUT) if operation.takes_timeout else (None,):
                kind = (", waits" if waits else f", {HERE}") if name in MESSAGES else ""
                label = f"{name}{kind}{'' if timeout is None else ', timeout'}"
                found.append((label, name, {"waits": waits, "timeout": timeout}))
    return [*found, (CONNECT, CONNECT, {})]


def main() -> None:
    """Print a table for each flavour."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.calls", description=__doc__)
    parser.add_argument("--flavour", action="append", choices=FLAVOURS, help="only this one (may be repeated)")
    print("Each cell: calls, locks, nested coroutines.")
    for flavour in parser.parse_args().flavour or FLAVOURS:
        print(f"\n{flavour:<40}" + "".join(f"{name:>18}" for name in COLUMNS))
        for label, operation, arguments in rows(flavour):
            cells = [count(flavour, operation, **arguments, **column) for column in COLUMNS.values()]
            print(f"{label:<40}" + "".join(f"{cell!s:>18}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
