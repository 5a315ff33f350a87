"""The flavours by their tags, for those who take one: ``Blocking``, ``Threaded``, ``Asyncio``, ``Trio``, ``Async``.

``Async`` is anyio's. A flavour is imported where it is asked for: who does not test with trio need not have it.
"""

from __future__ import annotations

import pkgutil
from typing import Any

from polysocket.effects import Async, Asyncio, Blocking, Effect, Threaded, Trio

__all__ = ["effect_of"]

_EFFECTS: dict[type[Any], str] = {
    Blocking: "polysocket.effects.blocking:BlockingEffect",
    Threaded: "polysocket.effects.threaded:ThreadedEffect",
    Asyncio: "polysocket.effects.asyncio:AsyncioEffect",
    Trio: "polysocket.effects.trio:TrioEffect",
    Async: "polysocket.effects.anyio:AnyioEffect",
}


def effect_of(flavour: type[Any]) -> Effect:
    """The effect of one of polysocket's own flavours; raises TypeError for any other tag."""
    if flavour not in _EFFECTS:
        names = ", ".join(tag.__name__ for tag in _EFFECTS)
        raise TypeError(f"a flavour is one of {names}, not {flavour!r}; for one of your own, give its effect too")
    effect: Effect = pkgutil.resolve_name(_EFFECTS[flavour])()
    return effect
