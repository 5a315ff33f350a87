"""All promises with their fixtures, for ``import *`` into a test module that has a fixture ``flavour``."""

from polysocket.testing.contract import (
    blocks,
    closing,
    effect,
    failing,
    fixtures,
    flooding,
    forking,
    handlers,
    opening,
    pings,
    programs,
    receiving,
    sending,
)

_tests = {
    name: test
    for module in (
        effect,
        opening,
        receiving,
        sending,
        pings,
        closing,
        failing,
        flooding,
        forking,
        blocks,
        programs,
        handlers,
    )
    for name, test in vars(module).items()
    if name.startswith("test_")
}
globals().update(_tests, **{name: getattr(fixtures, name) for name in fixtures.__all__})

__all__ = [*_tests, *fixtures.__all__]  # noqa: PLE0604  # pyright: ignore[reportUnsupportedDunderAll] - they are names
