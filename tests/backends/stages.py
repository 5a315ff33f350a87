"""Stages for every flavour, made from one plain function on frames, and pipes that run them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from polysocket import Close, DataFrame, Frame, PipeHandler, Text, basic_request
from polysocket.testing.contract.places import Peer
from tests.backends.flavours import Flavour, Task, a_backend


def raw_stage(
    flavour: Flavour,
    function: Callable[[DataFrame], Iterable[Frame | Close] | None],
    *,
    first: Iterable[Frame | Close] = (),
    last: Iterable[Frame | Close] = (),
    ended: Callable[[BaseException | None], object] = lambda _: None,
) -> Any:
    """Make a stage that yields ``first``, then the function's frames for each incoming frame, then ``last``.

    The stage returns early if the function returns None. Its ``finally`` calls ``ended`` with the error, if any.
    """

    def stage(incoming: Any) -> Any:
        error: BaseException | None = None
        try:
            yield from first
            for frame in incoming:
                answer = function(frame)
                if answer is None:
                    return
                yield from answer
            yield from last
        except BaseException as caught:
            error = caught
            raise
        finally:
            ended(error)

    async def async_stage(incoming: Any) -> Any:
        error: BaseException | None = None
        try:
            for frame in first:
                yield frame
            async for received in incoming:
                answer = function(received)
                if answer is None:
                    return
                for frame in answer:
                    yield frame
            for frame in last:
                yield frame
        except BaseException as caught:
            error = caught
            raise
        finally:
            ended(error)

    return async_stage if flavour.is_async else stage


def upper(frame: DataFrame) -> Iterable[Frame]:
    """Answer a text frame in capitals."""
    assert isinstance(frame, Text)
    return [Text(frame.payload.upper(), frame.final)]


def stop(_: DataFrame) -> None:
    """End the stage at its first frame."""


def ticks() -> Iterable[Frame]:
    """Yield frames forever."""
    while True:
        yield Text("tick")


async def run_pipe(flavour: Flavour, peer: Peer, stage: Any, close: float | None = 5) -> Any:
    """Open a websocket for a pipe and return its result; ``close`` is the close timeout."""
    async with a_backend(flavour, request=basic_request.timeouts(open=5, close=close)) as backend:
        return (await backend.open_websocket(peer.url, PipeHandler(stage))).result


async def start_pipe(flavour: Flavour, peer: Peer, stage: Any, close: float | None = 5) -> Task:
    """Run a pipe beside the body; return its task once the peer has accepted the connection."""
    task = flavour.spawn(run_pipe, flavour, peer, stage, close)
    await flavour.call(lambda: peer.stream)
    return task
