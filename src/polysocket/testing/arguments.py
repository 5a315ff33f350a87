"""Checks of the arguments of the helpers for tests. The error is raised at once, and names the wrong one."""

from __future__ import annotations

__all__ = ["check_callable", "check_effect", "check_kind", "is_number"]


def check_kind(name: str, value: object, kind: type) -> None:
    """Raise TypeError unless the argument is of this kind."""
    if not isinstance(value, kind):
        raise TypeError(f"{name} is a {kind.__name__}, not {type(value).__name__}")


def check_callable(name: str, value: object) -> None:
    """Raise TypeError unless the argument can be called."""
    if not callable(value):
        raise TypeError(f"{name} must be callable, not {type(value).__name__}")


def check_effect(effect: object) -> None:
    """Raise TypeError unless this is an effect, and not the class or the tag of one."""
    if isinstance(effect, type) or not callable(getattr(effect, "lift", None)):
        raise TypeError(f"effect is the effect of a flavour, not {type(effect).__name__}")


def is_number(value: object) -> bool:
    """Return whether this is an int or a float, and not NaN or a bool."""
    return type(value) in (int, float) and value == value  # noqa: PLR0124 - NaN is not
