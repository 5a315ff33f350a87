"""The programs that a session runs in the background, and whose end its closing waits for."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from typing import Any

from polysocket.effects import Effect, Event

__all__ = ["Background"]


class _Program:
    """A program in the background: its task or thread once it runs, and an event that is set at its end."""

    def __init__(self, has_ended: Event) -> None:
        self.has_ended = has_ended
        self.task: object = None


class Background:
    """The programs in the background of one session, whose mutex guards them."""

    def __init__(self, effect: Effect) -> None:
        self._effect = effect
        self._programs: list[_Program] = []

    def run(
        self,
        program: Callable[[], Coroutine[Any, Any, None]],
        on_done: Callable[[BaseException | None], object],
        *,
        abort: Callable[[str], object],
        abort_locked: Callable[[str], object],
    ) -> BaseException | None:
        """Start a program; return the error if it could not start. The mutex is held.

        Args:
            program: What to run.
            on_done: Called once, as in ``spawn``.
            abort: End the connection, for this reason, because the program has raised or could not start.
            abort_locked: Do so while the mutex is held.
        """
        entry = _Program(self._effect.event())
        refusal: BaseException | None = None
        has_started = False
        is_spawning = True

        @functools.wraps(program)
        async def run() -> None:
            nonlocal has_started
            has_started = True
            entry.task = self._effect.current_task()
            try:
                await program()
            except BaseException as error:
                abort(f"reading in the background was ended by {error!r}")
                raise

        def done(error: BaseException | None) -> None:
            nonlocal refusal
            if error is not None and not has_started:
                detail = f"reading in the background could not start: {error!r}"
                if is_spawning:
                    refusal = error
                    abort_locked(detail)
                else:
                    abort(detail)
            on_done(error)
            entry.has_ended.set()

        try:
            self._programs.append(entry)
            self._effect.spawn(run, done)
        except BaseException as error:  # A signal handler has raised: the program may run, or not.
            abort_locked(f"reading in the background could not start: {error!r}")
            entry.has_ended.set()
            raise
        finally:
            is_spawning = False
        return refusal

    def ends(self) -> list[Event]:
        """Return what is set at the end of each program, except the calling one, which can't wait for itself."""
        task = self._effect.current_task()
        return [program.has_ended for program in self._programs if program.task != task]
