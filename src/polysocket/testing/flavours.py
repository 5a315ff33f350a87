"""The effects of polysocket's own flavours, by the tags ``Blocking``, ``Threaded``, ``Asyncio``, ``Trio``, ``Async``.

``Async`` is anyio's. The module of a flavour is imported when its effect is needed: it declares the flavour's classes,
and trio need not be installed for the other flavours.
"""

from __future__ import annotations

import pkgutil
from typing import Any

from polysocket.effects import Async, Asyncio, Blocking, Effect, Threaded, Trio

__all__ = ["effect_of"]

_EFFECTS: dict[type[Any], str] = {
    Blocking: "polysocket.blocking:BlockingEffect",
    Threaded: "polysocket.threaded:ThreadedEffect",
    Asyncio: "polysocket.asyncio:AsyncioEffect",
    Trio: "polysocket.trio:TrioEffect",
    Async: "polysocket.anyio:AnyioEffect",
}


def effect_of(flavour: type[Any]) -> Effect:
    """Return the effect of one of polysocket's own flavours. Raises TypeError for any other tag."""
    if flavour not in _EFFECTS:
        names = ", ".join(tag.__name__ for tag in _EFFECTS)
        raise TypeError(f"a flavour is one of {names}, not {flavour!r}; for one of your own, give its effect too")
    effect: Effect = pkgutil.resolve_name(_EFFECTS[flavour])()
    return effect
