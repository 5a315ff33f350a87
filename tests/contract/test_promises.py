"""Every promise of the shipped contract, in every flavour of polysocket's own."""

from polysocket.testing.contract.freeing import *  # noqa: F403
from polysocket.testing.contract.promises import *  # noqa: F403
