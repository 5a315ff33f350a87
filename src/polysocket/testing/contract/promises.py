"""All promises with their fixtures, for ``import *`` into a test module that has a fixture ``flavour``."""

from polysocket.testing.contract import (
    attributes,
    batches,
    blocks,
    bodies,
    closing,
    connecting,
    contexts,
    effect,
    failing,
    fixtures,
    flooding,
    forking,
    handlers,
    keepalive,
    keeping,
    logs,
    messages,
    multiplexing,
    opening,
    options,
    payloads,
    pings,
    programs,
    reattempting,
    receiving,
    reconnecting,
    refusals,
    send_timeouts,
    sending,
    waiting,
)

_tests = {
    name: test
    for module in (
        effect,
        opening,
        options,
        attributes,
        bodies,
        receiving,
        reconnecting,
        reattempting,
        refusals,
        sending,
        send_timeouts,
        payloads,
        messages,
        batches,
        logs,
        pings,
        keepalive,
        closing,
        failing,
        keeping,
        flooding,
        forking,
        blocks,
        programs,
        waiting,
        multiplexing,
        handlers,
        connecting,
        contexts,
    )
    for name, test in vars(module).items()
    if name.startswith("test_")
}
globals().update(_tests, **{name: getattr(fixtures, name) for name in fixtures.__all__})

__all__ = [*_tests, *fixtures.__all__]  # noqa: PLE0604  # pyright: ignore[reportUnsupportedDunderAll] - they are names
