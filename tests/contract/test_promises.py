"""Every promise, in every flavour of polysocket's own; they are shipped for the authors of more."""

from polysocket.testing.contract.promises import *  # noqa: F403
