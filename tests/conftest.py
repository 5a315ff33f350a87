"""Runs each ``async def`` test that has a ``flavour`` with that flavour, and two tests for each processor."""

from __future__ import annotations

import inspect
import os
from typing import Any

import pytest
from hypothesis import settings

from tests.examples import examples

# No deadline: speed is for the benchmarks, and a machine may be busy.
settings.register_profile("polysocket", examples(), deadline=None)
settings.load_profile("polysocket")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test's body in its flavour."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj) or "flavour" not in pyfuncitem.funcargs:
        return None
    flavour: Any = pyfuncitem.funcargs["flavour"]
    arguments: dict[str, Any] = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    flavour.run(lambda: pyfuncitem.obj(**arguments))
    return True


def pytest_xdist_auto_num_workers() -> int:
    """Return the workers of ``-n auto``: tests wait for the network for more than half of their time."""
    return 2 * (os.cpu_count() or 1)
