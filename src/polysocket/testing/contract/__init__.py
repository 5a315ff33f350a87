"""The contract: what holds in every flavour, as tests for the author of a new one.

A test module of the author's has a fixture ``flavour``, which gives a new :class:`Flavour`, and takes the promises by
``from polysocket.testing.contract.promises import *``. Needs pytest and trustme (``polysocket[contract]``).
"""

from polysocket.testing.contract.flavour import INTERRUPTED, TURNS, Body, Flavour, Interrupted, Task, promise
from polysocket.testing.contract.threads import ThreadFlavour

__all__ = ["INTERRUPTED", "TURNS", "Body", "Flavour", "Interrupted", "Task", "ThreadFlavour", "promise"]
