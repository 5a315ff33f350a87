"""Errors that an object keeps, to raise them later or to tell them as a cause."""

from __future__ import annotations

from typing import TypeVar

__all__ = ["without_tracebacks"]

E = TypeVar("E", bound=BaseException)


def without_tracebacks(error: E) -> E:
    """Remove the tracebacks of an error and of its causes; return the error.

    A traceback has the frames that the error has passed, and their local variables. An object that keeps an error with
    a traceback from one of its own methods is in a reference cycle, and waits for the garbage collector with all that
    it owns. The context is dropped: it may be an error that the user is handling, whose traceback is not ours.
    """
    pending: list[BaseException] = [error]
    seen: set[int] = set()
    while pending:
        each = pending.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        each.__traceback__ = None
        each.__context__ = None
        if each.__cause__ is not None:
            pending.append(each.__cause__)
        pending += getattr(each, "exceptions", ())  # of a group
    return error
