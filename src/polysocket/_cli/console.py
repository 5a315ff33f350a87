"""The streams of the process: lines of standard input, messages on standard output, all else on standard error."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from types import TracebackType
from typing import Self, TextIO

from polysocket._cli.rendering import for_terminal

__all__ = ["Console", "OutputClosed", "OutputFailed"]

READ_SIZE = 64 * 1024  # what a pipe of Linux holds


class OutputClosed(Exception):
    """The reader of standard output has gone, as ``head`` does when it has seen enough."""


class OutputFailed(Exception):
    """A message can't be written, such as to a full disk."""


class Console:
    """Standard input and output as they are: pipes, files, or a terminal without editing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Leave the terminal as it was."""

    @property
    def is_terminal(self) -> bool:
        """Whether a person types and reads."""
        return _is_terminal(sys.stdin) and _is_terminal(sys.stdout)

    def lines(self) -> Iterator[bytes]:
        """Yield each line of standard input, without its end.

        Raises:
            KeyboardInterrupt: Ctrl-C was typed, in a terminal that sends no signal for it.
            OSError: Standard input can't be read.
        """
        if sys.stdin is None:  # It was closed when the process started; its number may be that of a socket now.
            return
        # A thread in os.read holds no lock, so the interpreter can end meanwhile; one in sys.stdin would make it abort.
        descriptor = sys.stdin.fileno()
        rest: list[bytes] = []
        while data := os.read(descriptor, READ_SIZE):
            first, *others = data.split(b"\n")
            rest.append(first)
            for each in others:
                yield b"".join(rest)
                rest = [each]
        if last := b"".join(rest):
            yield last

    def write_message(self, message: str | bytes) -> None:
        """Write a message and a newline to standard output.

        Raises:
            OutputClosed: The reader of standard output has gone.
            OutputFailed: Standard output can't be written.
        """
        if sys.stdout is None:
            raise OutputClosed
        try:
            if _is_terminal(sys.stdout):
                self._print(sys.stdout, for_terminal(message))
            else:
                # A text may have lone surrogates, from escapes in JSON: "backslashreplace" restores those.
                data = message if isinstance(message, bytes) else message.encode("utf-8", "backslashreplace")
                sys.stdout.buffer.write(data + b"\n")
                sys.stdout.buffer.flush()
        except OSError as error:
            _discard_output()
            # Windows reports EINVAL for a pipe without a reader.
            if isinstance(error, BrokenPipeError) or (sys.platform == "win32" and error.errno == errno.EINVAL):
                raise OutputClosed from None
            raise OutputFailed(str(error)) from None

    def note(self, text: str) -> None:
        """Write a line to standard error; if that is closed, drop the line."""
        if sys.stderr is not None:
            with contextlib.suppress(OSError):  # There is no place left to say so.
                self._print(sys.stderr, for_terminal(text))

    def _print(self, stream: TextIO, text: str) -> None:
        """Write a line for people."""
        encoding = stream.encoding or "utf-8"
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
        stream.flush()


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty()


def _discard_output() -> None:
    """Keep the interpreter from writing the buffered rest when it ends, which would fail again."""
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, sys.stdout.fileno())
    finally:
        os.close(null)
