"""The contract: the promises of every flavour, as tests for the author of a new flavour.

The author's test module has a fixture ``flavour``, which returns a new :class:`Flavour`, and imports the promises via
``from polysocket.testing.contract.promises import *``. Needs pytest and trustme (``polysocket[contract]``).
"""

from polysocket.testing.contract.flavour import INTERRUPTED, TURNS, Body, Flavour, Interrupted, Task, promise
from polysocket.testing.contract.threads import ThreadFlavour

__all__ = ["INTERRUPTED", "TURNS", "Body", "Flavour", "Interrupted", "Task", "ThreadFlavour", "promise"]
