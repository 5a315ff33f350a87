"""What a test has not prepared: raised in the place of waiting for what would never come.

They are AssertionErrors and no :class:`~polysocket.WebSocketError`, so that a program under test, which handles those,
does not take a hole in its test for a bad network.
"""

from __future__ import annotations

from polysocket.request import Request

__all__ = ["NothingPrepared", "ReplayMismatch", "StubError", "UnmatchedRequest"]


class StubError(AssertionError):
    """The root of the errors of stubs."""


class NothingPrepared(StubError):
    """``receive`` was called, and the stub has nothing to give."""


class ReplayMismatch(StubError):
    """The program under test has sent something else than what was recorded."""


class UnmatchedRequest(StubError):
    """No rule of a stubbed backend matches the ``request``, and there is no fallback."""

    def __init__(self, request: Request, rules: tuple[str, ...]) -> None:
        super().__init__(request, rules)
        self.request = request
        self.rules = rules

    def __str__(self) -> str:
        """The request, as far as it is not secret, and the rules in their order."""
        rules = "".join(f"\n  {number}. {rule}" for number, rule in enumerate(self.rules, 1))
        return f"no rule of the stub matches {self.request!r}; its rules are:{rules or ' none'}"
