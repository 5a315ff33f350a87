"""Raise an exception in the blocking flavour wherever CPython may run a signal handler.

CPython runs signal handlers in the main thread, at the entry of a function, at a backward jump, and after a call of a
C function; a C function that waits, such as ``poll``, runs them itself. What Python shows of that to a debugger and a
profiler are these events:

- ``call``: the entry of a function, and of a coroutine that goes on;
- ``line``: each backward jump is one; so is each further line, since the call of a class has no event after it;
- ``c_return``: the return from a C function, whose result is lost if the handler raises;
- ``return``: a handler that ran after the last call of a Python function makes that function raise.

Three kinds of event are left out, since CPython runs no handler there, and no Python program could pass:

- the ``line`` of leaving a ``with`` block. It comes after the block and before the call of ``__exit__``, with no call
  in between. A debugger that raises there keeps the lock of each ``with lock:``. The places inside that call, and
  after it, are not left out;
- the ``line`` of a ``try:``, an instruction that does nothing (NOP). CPython 3.11 leaves it out of its table of
  exceptions, so that no enclosing ``finally`` or ``with`` is left properly if a debugger raises there;
- the ``return`` of a coroutine that only suspends, as those of the threaded flavour do once in a call.

A handler that raises after a receive has its result, and before the caller has it, loses that result, as in any
function. In the library CPython runs no handler there, except in ``either…``, which gets the result from a function of
the caller; but debuggers stop at the lines on the way. There the result of the interrupted call, and nothing else, may
be missing (``is_after_result``).
"""

from __future__ import annotations

import contextlib
import contextvars
import dis
import functools
import gc
import pathlib
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from types import CodeType, FrameType
from typing import Any, ClassVar, Final

import polysocket
from polysocket import Binary, ConcurrentReceive, ReceiveTimeout, WebSocketClosed, blocking, threaded
from polysocket.effects import run
from tests.interruptions.cases import Case, Cases, drive, open_sockets
from tests.interruptions.conversation import (
    BLOCK_LIMIT,
    VARIANTS,
    Exchange,
    Fault,
    Variant,
    conversation,
    options,
    recovery,
)
from tests.interruptions.peer import Peer

__all__ = ["BlockingMachine", "ThreadedMachine"]

LIBRARY: Final = str(pathlib.Path(polysocket.__file__).parent)
# The public methods, and what makes them block.
AFTER_RESULT: Final = ("/websocket.py", "/_methods/receiving.py", "/_methods/sending.py", "/effects/blocking.py")
MOMENT: Final = 0.02  # seconds to wait for what is already there


class Interrupt(BaseException):
    """The exception of a signal handler."""


class Hung(BaseException):
    """The end of a case that takes too long."""


class Interruption:
    """The event at which an exception is raised, counted over all calls of a conversation."""

    def __init__(self, at: int) -> None:
        self.count = 0
        self.place: str | None = None
        """The event at which the exception was raised."""
        self.is_after_result = False
        self._at = at

    @contextlib.contextmanager
    def counting(self) -> Iterator[None]:
        """Count, and raise, in the block; the block itself is no part of the library."""
        if self.place is not None:
            yield
            return
        tracing, profiling = sys.gettrace(), sys.getprofile()
        sys.setprofile(self._profile)
        sys.settrace(self._trace)
        try:
            yield
        finally:
            sys.settrace(tracing)
            sys.setprofile(profiling)

    def _profile(self, frame: FrameType, event: str, arg: Any) -> None:
        if event == "c_return" and frame.f_code.co_filename.startswith(LIBRARY):
            self._hit(frame, event)

    def _trace(self, frame: FrameType, event: str, arg: Any) -> Any:
        if not frame.f_code.co_filename.startswith(LIBRARY):
            return None
        if event in ("call", "return", "line") and not _is_left_out(frame.f_code, frame.f_lasti, event):
            self._hit(frame, event)
        return self._trace

    def _hit(self, frame: FrameType, event: str) -> None:
        self.count += 1
        if self.count == self._at:
            name = frame.f_code.co_filename.removeprefix(LIBRARY)
            self.is_after_result = event == "return" or name in AFTER_RESULT
            self.place = f"{event} at {name}:{frame.f_lineno} in {frame.f_code.co_name}"
            raise Interrupt


@functools.cache
def _is_left_out(code: CodeType, offset: int, event: str) -> bool:
    """Return True for a ``yield``, and for a line that begins here and is a ``try:`` or the end of a ``with`` block."""
    if event != "line":
        return event == "return" and code.co_code[offset] == dis.opmap["YIELD_VALUE"]
    if code.co_code[offset] == dis.opmap["NOP"]:
        return True
    entries = {dis.opmap[name] for name in ("BEFORE_WITH", "BEFORE_ASYNC_WITH", "LOAD_SPECIAL") if name in dis.opmap}
    instructions = [each for each in dis.get_instructions(code) if each.positions is not None]
    lines_of_with = {each.positions.lineno for each in instructions if each.opcode in entries and each.positions}
    line: int | None = None
    for each in instructions:
        if each.offset < offset or each.positions is None:
            continue
        line = each.positions.lineno if line is None else line
        if line not in lines_of_with:
            return False
        if each.positions.lineno != line:
            return True
        if each.opcode in entries:
            return False
    return True


class BlockingMachine:
    """The cases of the blocking flavour."""

    name: ClassVar[str] = "blocking"
    style: ClassVar[str] = "raise"
    goes_on: ClassVar[bool] = False
    """Whether a call goes on in a thread of its own although its caller was interrupted."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    def connect(self, url: str, **options: Any) -> Any:
        """Call ``connect``."""
        return blocking.connect(url, **options)

    def result(self, value: Any) -> Any:
        """Return the result of a call."""
        return value

    def run(self, cases: Cases) -> None:
        """Run the cases."""

        def hung(*_: object) -> None:
            raise Hung

        before = signal.signal(signal.SIGALRM, hung)
        # A debugger, but no handler, can raise between the call of a coroutine function and the "try" after it.
        warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
        for variant in VARIANTS:
            with Case("warm-up", variant, self.style, sys.maxsize) as first:  # imports, caches
                self._run(first, variant)
            if first.failure is not None:
                raise RuntimeError(first.failure)
            for case in cases.of(variant, self.style):
                with case:
                    self._run(case, variant)
        signal.signal(signal.SIGALRM, before)

    def _run(self, case: Case, variant: Variant) -> None:
        sockets, context = open_sockets(), dict(contextvars.copy_context())
        interruption = Interruption(case.position)
        signal.setitimer(signal.ITIMER_REAL, 2 * BLOCK_LIMIT)
        try:
            run(self._converse(case, variant, interruption))
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            case.count = interruption.count
            case.notes.append(str(interruption.place))
        if dict(contextvars.copy_context()) != context:
            raise Fault("the thread's context has changed")
        for thread in threading.enumerate():
            if thread.name.startswith("polysocket"):
                thread.join(BLOCK_LIMIT)
                if thread.is_alive():
                    raise Fault(f"a thread is left: {thread.name}")
        if open_sockets() - sockets:
            gc.collect()
            if left := open_sockets() - sockets:
                raise Fault(f"sockets are left open: {left}")

    async def _converse(self, case: Case, variant: Variant, interruption: Interruption) -> None:
        async def make(call: Callable[[], Any]) -> Any:
            with interruption.counting():
                return self.result(call())

        url = self._peer.url(variant.transport, case.path)
        settings = options(variant, self._peer.client_context)
        exchange = Exchange()
        try:
            exchange.ws = await make(lambda: self.connect(url, **settings))
        except Interrupt:
            self.result(self.result(self.connect(f"{url}/again", **settings)).close())
            return
        is_whole = True
        try:
            try:
                await drive(conversation(exchange, variant), make)
                if not variant.ends_with_close:
                    exchange.is_closing = True
                    await make(lambda: exchange.ws.__exit__(None, None, None))
            except Interrupt:
                exchange.may_lack = exchange.is_receiving and (interruption.is_after_result or self.goes_on)
                is_whole = not exchange.is_closing and await self._recovers(exchange)
            if exchange.is_closing:
                self.result(exchange.ws.close())
        except BaseException:
            if exchange.ws.is_open:
                threading.Thread(target=exchange.ws.close, daemon=True).start()
            raise
        began = time.monotonic()
        exchange.ws.__exit__(None, None, None)
        if time.monotonic() - began > BLOCK_LIMIT:
            raise Fault("the end of the block took too long")
        self._check_end(exchange.ws)
        exchange.check(self._peer.report(case.path), must_be_whole=is_whole)

    async def _recovers(self, exchange: Exchange) -> bool:
        """Use the websocket; return False if the interruption has ended it, and each call says so at once."""
        ws = exchange.ws
        self._check_locks(ws)
        with contextlib.suppress(ReceiveTimeout):
            while True:
                try:
                    exchange.take(self.result(ws.receive_message(timeout=MOMENT)))
                except WebSocketClosed:
                    self._check_end(ws)
                    return False
                except ConcurrentReceive:
                    if self.goes_on:
                        return False
                    raise
        # A caller that receives from a connection which is no longer used would wait forever.
        await drive(recovery(exchange), self._make)
        return True

    def _check_locks(self, ws: Any) -> None:
        """Use the websocket in another thread."""
        ended = threading.Event()

        def send() -> None:
            with contextlib.suppress(WebSocketClosed):
                self.result(ws.pong())
            ended.set()

        threading.Thread(target=send, daemon=True).start()
        if not ended.wait(BLOCK_LIMIT):
            raise Fault("another thread waits for a lock")

    def _check_end(self, ws: Any) -> None:
        if ws.is_open or ws.close_info is None:
            raise Fault("the websocket is still open")
        try:
            self.result(ws.send(Binary(b"")))
        except WebSocketClosed:
            return
        raise Fault("a message was sent after the end")

    async def _make(self, call: Callable[[], Any]) -> Any:
        return self.result(call())


class ThreadedMachine(BlockingMachine):
    """The cases of the threaded flavour, as far as its programs run in the main thread."""

    name = "threaded"
    goes_on = True

    def connect(self, url: str, **options: Any) -> Any:
        """Call ``connect``."""
        return threaded.connect(url, **options)

    def result(self, value: Any) -> Any:
        """Wait for the result of a call."""
        return value.result(2 * BLOCK_LIMIT) if isinstance(value, Future) else value
