"""A terminal with prompt_toolkit: a line is edited at the bottom, and messages appear above it."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import TextIO

from prompt_toolkit import PromptSession

from polysocket._cli.console import Console

__all__ = ["PromptConsole"]


class PromptConsole(Console):
    """A console whose lines are edited, with a history for the time of the process.

    An event loop in a thread of its own runs the prompt. The loop prints, too, so that each line is complete before
    :meth:`write_message` returns: none is lost when the prompt ends.
    """

    def __init__(self) -> None:
        self._lines: queue.SimpleQueue[str | BaseException] = queue.SimpleQueue()
        self._is_ready = threading.Event()
        self._thread: threading.Thread | None = None

    def lines(self) -> Iterator[bytes]:
        """Show the prompt, and yield each line that is entered, as :meth:`Console.lines` does."""
        self._thread = threading.Thread(target=asyncio.run, args=(self._run(),), daemon=True)
        self._thread.start()
        while not isinstance(line := self._lines.get(), EOFError):
            if isinstance(line, BaseException):
                raise line
            yield line.encode("utf-8", "surrogateescape")  # Bytes that are not UTF-8 come from the terminal so.

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """End the prompt, which leaves the terminal as it was."""
        if self._thread is not None:
            self._is_ready.wait()
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()
            self._is_ready.clear()

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._session: PromptSession[str] = PromptSession("> ")
        self._stop = asyncio.Event()
        prompting = asyncio.ensure_future(self._prompt())
        self._is_ready.set()
        await self._stop.wait()
        prompting.cancel()
        await asyncio.wait([prompting])

    async def _prompt(self) -> None:
        try:
            while True:
                self._lines.put(await self._session.prompt_async())
        except (EOFError, KeyboardInterrupt, OSError) as end:  # Ctrl-D, Ctrl-C, an error of the terminal
            self._lines.put(end)

    def _print(self, stream: TextIO, text: str) -> None:
        if self._is_ready.is_set():
            asyncio.run_coroutine_threadsafe(self._print_above(stream, text), self._loop).result()
        else:
            super()._print(stream, text)

    async def _print_above(self, stream: TextIO, text: str) -> None:
        """Print a line in place of the prompt, and draw the prompt again below it."""
        # prompt_toolkit's run_in_terminal() leaves the raw mode meanwhile, and would lose a Ctrl-D that is typed then.
        app = self._session.app
        if app.is_running:
            app.renderer.erase()
        super()._print(stream, text)
        if app.is_running:
            app.invalidate()
