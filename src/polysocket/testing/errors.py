"""The errors of stubs: raised instead of waiting for something that the test has not prepared.

They are ``AssertionError``, not :class:`~polysocket.WebSocketError`. A program under test that handles network errors
does not swallow them.
"""

from __future__ import annotations

from polysocket.request import Request

__all__ = ["NothingPrepared", "ReplayMismatch", "StubError", "UnmatchedRequest"]


class StubError(AssertionError):
    """The root of the errors of stubs."""


class NothingPrepared(StubError):
    """A ``receive…`` method was called, and the stub has nothing left; ``awaited`` says what was awaited."""

    def __init__(self, text: str, awaited: str) -> None:
        super().__init__(text, awaited)
        self.awaited = awaited

    def __str__(self) -> str:
        """Return the text."""
        return str(self.args[0])


class ReplayMismatch(StubError):
    """The program under test sent something that differs from the recording."""


class UnmatchedRequest(StubError):
    """No rule of a stubbed backend matches the ``request``, and there is no fallback."""

    def __init__(self, request: Request, rules: tuple[str, ...]) -> None:
        super().__init__(request, rules)
        self.request = request
        self.rules = rules

    def __str__(self) -> str:
        """Return the request without its secrets, and the rules in their order."""
        rules = "".join(f"\n  {number}. {rule}" for number, rule in enumerate(self.rules, 1))
        listed = f"its rules are:{rules}" if rules else "it has no rules"
        return f"the stub has neither a rule nor a fallback for {self.request!r}; {listed}"
