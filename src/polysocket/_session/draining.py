"""The programs of a sender that wait. They are apart from it since mypyc can't compile coroutines that warn and trace.

None of them knows the sender: each gets the calls that it makes before and after it waits.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from polysocket.effects import ByteStream, Effect, Event
from polysocket.errors import SendTimeout

__all__ = ["drain_stream", "drain_unless_lost", "send_after", "send_within", "wait_for_turn"]


async def drain_stream(
    stream: ByteStream, fail: Callable[[BaseException], object], go_on: Callable[[], object]
) -> None:
    """Wait while the network has too much to take; then call ``go_on``, or ``fail`` with an error, before it is raised.

    ``fail`` raises another error if that says more.
    """
    try:
        await stream.drain()
    except BaseException as error:
        fail(error)
        raise
    go_on()


async def drain_unless_lost(stream: ByteStream, go_on: Callable[[], object]) -> None:
    """Wait while the network has too much to take; then call ``go_on``, if the stream has not ended."""
    try:
        await stream.drain()
    except OSError:
        return  # The reader meets the end of the stream.
    go_on()


async def send_after(
    next_wait: Callable[[], Awaitable[object] | None], send: Callable[[], Awaitable[object] | None]
) -> None:
    """Await what ``next_wait`` returns until it is None; then send, to the end of the call."""
    # A loop, since each nested try would make each resumption of this caller longer.
    while (wait := next_wait()) is not None:
        await wait
    if (rest := send()) is not None:
        await rest


async def wait_for_turn(turn: Event, forget: Callable[[Event], object]) -> None:
    """Wait until it is the caller's turn, and forget that the caller waits in any case."""
    try:
        await turn.wait()
    finally:
        forget(turn)


async def send_within(
    effect: Effect,
    stream: ByteStream,
    seconds: float,
    send: Callable[[Callable[[], object]], Awaitable[object] | None],
) -> None:
    """Send a frame in at most ``seconds``; ``send`` makes the call that it gets once the stream has the whole frame.

    Raises :class:`SendTimeout`, but not if the network has the whole frame at that moment.
    """
    is_taken = False

    def note() -> None:
        nonlocal is_taken
        is_taken = True

    if (rest := send(note)) is None:
        return
    try:
        async with effect.time_limit(seconds):
            await rest
    except TimeoutError:
        if is_taken and not stream.pending:
            return
        raise _send_timeout(seconds, is_taken) from None


def _send_timeout(seconds: float, is_taken: bool) -> SendTimeout:
    if is_taken:
        text = f"the network has not taken the whole frame within {seconds} seconds: the rest is sent later"
    else:
        text = f"the frame could not be sent within {seconds} seconds: nothing of it was sent"
    return SendTimeout(text, seconds, is_taken)
