"""Reconnecting as values: the policy that says when to try again, and the gap between two connections."""

from __future__ import annotations

import random
import sys
from dataclasses import dataclass

from polysocket.close_info import CloseInfo
from polysocket.errors import InvalidRequest

__all__ = ["DEFAULT_BACKOFF", "Backoff", "Gap"]

LARGEST = sys.float_info.max
"""The largest number of seconds: it can be added to the time of a clock, which is a float."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """The delays between the attempts of ``reconnect``: they grow exponentially, with full jitter.

    The first attempt is made at once. The delay before retry ``n`` is random, from 0 to ``initial * factor ** (n - 1)``
    seconds, and at most ``maximum``. The clients of a server that restarts don't come back at the same moment then.

    Args:
        initial: The longest delay before the first retry, in seconds.
        maximum: The longest delay before any retry, in seconds. A server may ask for more by ``Retry-After``.
        factor: The growth of the longest delay from one retry to the next.
        attempts: The number of attempts in a row after which the last error is raised; None for no limit.
        stable_after: The seconds that a websocket must have been open for the count of attempts to start again.

    Raises:
        InvalidRequest: A value can't be used.
    """

    initial: float = 0.5
    maximum: float = 60
    factor: float = 2
    attempts: int | None = None
    stable_after: float = 10

    def __post_init__(self) -> None:
        for name in ("initial", "maximum", "stable_after"):
            _check_number(name, getattr(self, name), 0, " seconds")
        _check_number("factor", self.factor, 1)
        if self.attempts is not None:
            _check_count(self.attempts, "attempts of a Backoff is a whole number, or None for no limit")

    def delay(self, retry: int) -> float:
        """Return a random delay in seconds before a retry; the first retry is number 1.

        Raises :class:`InvalidRequest` for anything but a number of at least 1.
        """
        _check_count(retry, "retry is a whole number")
        try:
            longest = min(self.initial * float(self.factor) ** (retry - 1), self.maximum)
        except OverflowError:  # after about 1,000 retries, which take a day
            longest = self.maximum if self.initial else 0
        return random.uniform(0, longest)


@dataclass(frozen=True, slots=True)
class Gap:
    """The time between two connections, in which messages may have been missed.

    ``reconnect(…).messages()`` yields one when the websocket is open again, before its first message.

    Args:
        close_info: How the websocket before the gap ended.
        attempts: The number of attempts until the websocket was open again, with the one that succeeded.
        seconds: The seconds without an open websocket.

    Raises:
        InvalidRequest: A value can't be used.
    """

    close_info: CloseInfo
    attempts: int
    seconds: float

    def __post_init__(self) -> None:
        if not isinstance(self.close_info, CloseInfo):
            raise InvalidRequest(f"close_info of a Gap is a CloseInfo, not {self.close_info!r}")
        _check_count(self.attempts, "attempts of a Gap is a whole number")
        _check_number("seconds", self.seconds, 0, " seconds")


def _check_number(name: str, value: object, least: int, unit: str = "") -> None:
    if type(value) not in (int, float) or not least <= value <= LARGEST:  # type: ignore[operator]  # pyright: ignore[reportOperatorIssue]
        raise InvalidRequest(f"{name} is a finite number of at least {least}{unit}, not {value!r}")


def _check_count(value: object, text: str) -> None:
    if type(value) is not int or value < 1:
        raise InvalidRequest(f"{text}, and at least 1, not {value!r}")


DEFAULT_BACKOFF: Backoff = Backoff()
