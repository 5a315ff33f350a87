"""The effect of threads: ``F[T]`` is ``concurrent.futures.Future[T]``.

A call begins in the caller's thread. If it has to wait, it suspends, and goes on in one of a few worker threads
(:mod:`polysocket.effects.readiness`): no thread waits for a single call.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextvars import copy_context
from functools import wraps
from typing import Any, Generic, ParamSpec, TypeVar
from weakref import finalize

from polysocket.effects import polling, readiness
from polysocket.effects.happy_eyeballs import SocketAttempts
from polysocket.effects.interface import foreign_await
from polysocket.effects.readiness import READ, WRITE, Wait
from polysocket.effects.sockets import SocketEffect, SocketStream, call_deadline, context_of_call, seconds_left

__all__ = ["ThreadedEffect"]

P = ParamSpec("P")
T = TypeVar("T")


class _Running(threading.local):
    """The task whose program a worker runs now; None in other threads. Calls of its callbacks belong to the task."""

    task: object = None


_running = _Running()


class ThreadedAttempts(SocketAttempts):
    """Attempts to connect that are waited for suspended."""

    async def wait_until_connected(self, sockets: list[socket.socket], seconds: float | None) -> socket.socket | None:
        """Wait until one of the attempts has ended."""
        left = seconds_left()
        deadline = time.monotonic() + (left if seconds is None else min(seconds, left))
        wait = Wait({sock.fileno(): WRITE for sock in sockets}, deadline)
        await polling.until_over(wait)
        return next((sock for sock in sockets if sock.fileno() in wait.ready), None)


class ThreadedEffect(SocketEffect):
    """The :class:`~polysocket.effects.Effect` of threads: a program that has to wait suspends."""

    name: str = "polysocket.threaded"
    leaves_caller: bool = True
    attempts: type[SocketAttempts] = ThreadedAttempts

    def lift(self, program: Callable[P, Coroutine[Any, Any, T]], /) -> Callable[P, Future[T]]:
        """Make a function that begins the program in the caller's thread, and returns its future."""

        @wraps(program)
        def call(*args: P.args, **kwargs: P.kwargs) -> Future[T]:
            running = _Call[T](self.current_task())
            running.coroutine = program(*args, **kwargs)
            try:
                return running.begin()
            except BaseException:
                if not running.is_suspended:  # A signal handler has raised: nothing goes on with the program.
                    running.context.run(running.coroutine.close)
                raise
            finally:
                del running  # An error has a traceback with this frame; so in the other functions here.

        return call

    async def unlift(self, value: Future[T], /) -> T:
        """Wait for the future's result."""
        if not isinstance(value, Future):
            raise TypeError(f"a function of {self.name} returns a Future, not {type(value).__name__}")
        try:
            if not value.done():
                done = self.event()
                value.add_done_callback(lambda _: done.set())
                await done.wait()
            return value.result()
        finally:
            del value

    def event(self) -> ThreadedEvent:
        """Return a new event."""
        return ThreadedEvent()

    def current_task(self) -> object:
        """Return the number of the thread that has called, or an object for a program in the background."""
        return _running.task or threading.get_ident()

    def spawn(
        self, program: Callable[[], Coroutine[Any, Any, None]], on_done: Callable[[BaseException | None], object], /
    ) -> None:
        """Begin the program in a worker; ``threading.excepthook`` reports its error."""

        async def run() -> None:
            error: BaseException | None = None
            try:
                await program()
            except BaseException as raised:
                error = raised
                raise
            finally:
                try:
                    on_done(error)
                finally:
                    del error  # Its traceback has this frame.

        call = _Call[None](object())
        call.future.add_done_callback(_report)
        begins = Wait()
        begins.end_now()
        call.coroutine = run()
        try:
            call.suspend(begins)
        except BaseException as error:
            if not call.is_suspended:
                call.coroutine.close()
            if not isinstance(error, OSError | RuntimeError):
                raise
            on_done(error)  # The system has no more threads.

    def make_stream(self, sock: socket.socket) -> ThreadedStream:
        """Make a stream of this effect."""
        return ThreadedStream(sock)

    async def run_blocking(self, function: Callable[[], T], /) -> T:
        """Call the function in a thread of its own, since it may block for as long as a websocket lasts."""
        future: Future[T] = Future()
        threading.Thread(
            target=copy_context().run, args=(_call, function, future), name="polysocket blocking call", daemon=True
        ).start()
        try:
            return await self.unlift(future)
        finally:
            del future


class ThreadedEvent:
    """An :class:`~polysocket.effects.Event` for which programs wait suspended."""

    def __init__(self) -> None:
        self._is_set = False
        self._waits: list[Wait] = []

    def set(self) -> None:
        """Set the flag, and resume the programs that wait."""
        self._is_set = True
        for wait in tuple(self._waits):  # A second call repeats this: a signal handler may have interrupted the first.
            wait.end_now()

    async def wait(self) -> None:
        """Wait until the event is set."""
        while not self._is_set:
            seconds_left()  # before the wait: in a flood, each event may be set before its program goes on
            wait = Wait(deadline=call_deadline.get())
            self._waits.append(wait)
            try:
                if not self._is_set:  # It may have been set before the wait was there to be woken.
                    await polling.until_over(wait)
            finally:
                self._waits.remove(wait)


class ThreadedStream(SocketStream):
    """A :class:`~polysocket.effects.ByteStream` that is waited for suspended."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        user = object()
        self._remove_user = finalize(self, readiness.remove_user, user)
        readiness.add_user(user)

    async def read(self, buffer: memoryview | None = None) -> Any:
        """Wait for bytes, and send what is pending meanwhile; return the number of those that a buffer has got."""
        while not self._aborted:
            if (data := await self._wait_suspended(readable=True, buffer=buffer)) is not None:
                return data
        return b""

    read_into = read

    async def drain(self) -> None:
        """Wait until nothing is pending."""
        try:
            while self._unsent:
                with self._mutex:
                    self._check()
                await self._wait_suspended(readable=False)
        except BaseException:
            with self._mutex:
                self._send_in_background()
            raise

    def abort(self) -> None:
        """Drop the connection at once; the programs that wait for it go on."""
        super().abort()
        self._remove_user()

    async def _wait_suspended(self, *, readable: bool, buffer: memoryview | None = None) -> bytes | int | None:
        """Do what ``_wait`` does, without blocking the thread."""
        # Lines are written out here as there, to spare each message two calls.
        waiter = object()
        if readable:
            self.has_taken: bool = False
        try:
            with self._mutex:
                writable = bool(self._unsent) and self._must_flush
                if self._aborted or not (readable or writable):
                    return None  # Another caller has sent all that was pending.
                self._waiters[waiter] = writable
            fd, deadline = self._socket.fileno(), call_deadline.get()
            if deadline is not None:
                self._seconds_to_wait()
            wait = Wait({fd: READ * readable | WRITE * writable}, deadline)
            await polling.until_over(wait)
            ready = wait.ready.get(fd, 0)
            received = self._receive(buffer) if ready & READ else None
        finally:
            with self._mutex:
                self._waiters.pop(waiter, None)
                if self._aborted:
                    self._close_if_unused()
        if ready & WRITE:
            with self._mutex:
                self._flush()
        elif not ready:
            seconds_left()
        return received


class _Call(Generic[T]):
    """One run of a program: its future, and the context that it takes along from thread to thread."""

    coroutine: Coroutine[Any, Any, T]

    def __init__(self, task: object) -> None:
        self.future: Future[T] = Future()
        self.future.set_running_or_notify_cancel()  # A program that has begun can't be cancelled.
        self.context = context_of_call()
        self._task = task
        self._loop: readiness.WaitLoop | None = None

    @property
    def is_suspended(self) -> bool:
        """Whether the program has suspended, so that it goes on in workers."""
        return self._loop is not None

    def begin(self) -> Future[T]:
        """Run the program to its end or its first wait, in this thread; return its future."""
        error: Exception | None = None
        try:
            while (wait := self._advance(error)) is not None:
                try:
                    self.suspend(wait)
                    break
                except (OSError, RuntimeError) as refusal:  # No more threads: the step that has to wait raises this.
                    error = refusal
            return self.future
        finally:
            del self, error

    def suspend(self, wait: Wait) -> None:
        """Have workers go on with the program after a wait. Raises RuntimeError or OSError if that can't be."""
        try:
            wait.resume = self._resume
            self._loop = readiness.wait_loop_for(self)
            self._loop.post(wait)
        except BaseException:
            if self._loop is None:
                readiness.remove_user(self)
            else:  # A signal handler has raised, perhaps before the wait loop was told.
                self._loop.post(wait)
            raise
        finally:
            del self

    def _resume(self) -> None:
        """Run the program to its next wait or its end; a worker calls this."""
        try:
            _running.task = self._task
            wait: Wait | None = None
            try:
                wait = self._advance(None)
            finally:
                _running.task = None
                if wait is None:
                    readiness.remove_user(self)
            if wait is not None:
                self.suspend(wait)
        finally:
            del self

    def _advance(self, error: Exception | None) -> Wait | None:
        try:
            return self.context.run(_advance, self.coroutine, self.future, error)
        finally:
            del self, error


def _advance(coroutine: Coroutine[Any, Any, T], future: Future[T], error: Exception | None) -> Wait | None:
    """Run the program to its next wait, which is returned, or to its end.

    If there is an error, the wait at which the program has suspended raises it.
    """
    try:
        wait = coroutine.send(None) if error is None else coroutine.throw(error)
        if isinstance(wait, Wait):
            return wait
        coroutine.close()
        future.set_exception(foreign_await(coroutine))
    except StopIteration as stop:
        future.set_result(stop.value)
    except BaseException as raised:  # noqa: BLE001 - the future raises it, as an executor's does
        coroutine.close()  # It waits for its next step if a signal handler has raised after the call of send().
        future.set_exception(raised)
        del future, error
    return None


def _call(function: Callable[[], T], future: Future[T]) -> None:
    try:
        future.set_result(function())
    except BaseException as raised:  # noqa: BLE001 - the future raises it
        future.set_exception(raised)
    finally:
        del function, future


def _report(future: Future[None]) -> None:
    """Report the error of a program in the background, as that of a thread."""
    error = future.exception()
    try:
        if error is not None:
            args = (type(error), error, error.__traceback__, threading.current_thread())
            threading.excepthook(threading.ExceptHookArgs(args))
    finally:
        del future, error
