"""A stage for every flavour from one plain function on frames, as sttp's tests have their ``functionToPipe``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from polysocket import Close, DataFrame, Frame
from tests.backends.flavours import Flavour


def raw_stage(
    flavour: Flavour,
    function: Callable[[DataFrame], Iterable[Frame | Close] | None],
    *,
    first: Iterable[Frame | Close] = (),
    last: Iterable[Frame | Close] = (),
    ended: Callable[[BaseException | None], object] = lambda _: None,
) -> Any:
    """A stage that gives ``first``, then what the function makes of each frame, and behind the last one ``last``.

    Where the function gives None, the stage ends. ``ended`` is told by its ``finally`` of what has ended it.
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
