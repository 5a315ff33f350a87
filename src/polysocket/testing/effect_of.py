"""The effect of each flavour of polysocket, looked up via its tag.

The tags are ``Blocking``, ``Threaded``, ``Asyncio``, ``Trio`` and, for anyio, ``Async``. A flavour's module is imported
only when its effect is needed, so that trio need not be installed for the other flavours.
"""

from __future__ import annotations

import pkgutil
from typing import Any

from polysocket.effects import Async, Asyncio, Blocking, Effect, Threaded, Trio
from polysocket.testing.arguments import check_effect

__all__ = ["effect_of"]

# The modules of the flavours, not those of their effects: they also declare the flavour's class of websockets.
_EFFECTS: dict[type[Any], str] = {
    Blocking: "polysocket.blocking:BlockingEffect",
    Threaded: "polysocket.threaded:ThreadedEffect",
    Asyncio: "polysocket.asyncio:AsyncioEffect",
    Trio: "polysocket.trio:TrioEffect",
    Async: "polysocket.anyio:AnyioEffect",
}


def effect_of(flavour: type[Any], effect: Effect | None = None) -> Effect:
    """Return the effect of one of polysocket's own flavours, or the given one of another flavour.

    Raise TypeError for any other tag, and for an object that is no effect.
    """
    if effect is not None:
        check_effect(effect)
        return effect
    name = next((name for tag, name in _EFFECTS.items() if tag is flavour), None)  # It may be unhashable.
    if name is None:
        names = ", ".join(tag.__name__ for tag in _EFFECTS)
        raise TypeError(f"{flavour!r} is not one of {names}; for a flavour of your own, pass its effect, too")
    own: Effect = pkgutil.resolve_name(name)()
    return own
