"""Bugs that are planted on purpose, to see that each machine finds them: ``--planted`` and the name of one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from polysocket._session.sending import Sender
from polysocket._session.session import Session
from polysocket.effects.asyncio import TransportStream
from polysocket.effects.sockets import SocketStream

__all__ = ["BUGS"]


def forget_torn_frames() -> None:
    """Send on after a frame of which an interrupted call may have sent a part."""

    def go_on(sender: Sender) -> None:
        sender._is_broken = False

    Sender._end_if_interrupted = go_on  # type: ignore[method-assign, assignment]


def forget_lost_bytes() -> None:
    """Receive on after an interrupted call that may have taken bytes."""
    SocketStream.has_taken = property(lambda _: False, lambda *_: None)  # type: ignore[assignment]


def keep_the_reader() -> None:
    """Keep the role of the caller that reads, although an interrupted call has ended."""

    def note(session: Session) -> None:
        session._stream.abort()
        session._reader.thread = -1

    Session._note_interruption = note  # type: ignore[method-assign, assignment]


def wait_with_bytes_in_asyncio() -> None:
    """Wait once more with bytes in hand, which a cancellation loses."""
    wait = TransportStream.let_others_run
    TransportStream.read_view = _waiting_after(TransportStream.read_view, wait)  # type: ignore[method-assign]


def wait_with_bytes_in_trio() -> None:
    """Wait once more with bytes in hand, which a cancellation loses."""
    from polysocket.effects.trio import SocketStream as TrioStream
    from polysocket.effects.trio import TrioEffect

    TrioStream.read = _waiting_after(TrioStream.read, lambda _: TrioEffect().next_turn())  # type: ignore[method-assign]


def _waiting_after(read: Callable[[Any], Any], wait: Callable[[Any], Any]) -> Any:
    async def read_and_wait(stream: Any) -> bytes:
        data: bytes = await read(stream)
        await wait(stream)
        return data

    return read_and_wait


BUGS: dict[str, list[Callable[[], None]]] = {
    "blocking": [forget_torn_frames, forget_lost_bytes, keep_the_reader],
    "asyncio": [wait_with_bytes_in_asyncio],
    "uvloop": [wait_with_bytes_in_asyncio],
    "trio": [wait_with_bytes_in_trio],
}
"""For each machine, functions that plant one bug each in this process."""
