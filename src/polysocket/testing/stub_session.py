"""The session of a stubbed websocket: a real one, but ``receive`` raises an error instead of waiting forever.

The peer answers each frame while it is sent, so nothing arrives later. If no frame is on the way, none will come.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any, TypeVar

from wsproto import ConnectionType

from polysocket._core import close_codes
from polysocket._core.connection import Connection
from polysocket._session.session import Session
from polysocket.effects import Effect
from polysocket.request import Request
from polysocket.response import Response
from polysocket.testing.memory import Wire
from polysocket.testing.stub_peer import Incoming, Responder, StubPeer

__all__ = ["StubSession"]

T = TypeVar("T")


class StubSession(Session):
    """A session with a :class:`StubPeer`; if ``is_patient``, ``receive`` waits when no frame is on the way."""

    refusals: tuple[type[Exception], ...] = (Exception,)  # The function that answers may raise any error.

    def __init__(
        self,
        effect: Effect,
        response: Response,
        request: Request,
        *,
        initial: Iterable[Incoming],
        responder: Responder,
        is_patient: bool,
    ) -> None:
        self._wire = Wire(effect)
        self._peer = StubPeer(self._wire, initial, responder)
        self._is_patient = is_patient
        connection = Connection(ConnectionType.CLIENT, max_message_size=request.max_message_size)
        self._peer_stream = _PeerStream(self._wire, self._peer)
        super().__init__(effect, self._peer_stream, connection, response, request)
        self.send_frame: Callable[..., Awaitable[object] | None] = partial(
            _send_or_raise, self._sender.send_frame, self._peer_stream
        )

    def begin(self) -> None:
        """Keep nothing alive: the peer is in this process, and a test decides when something is received."""

    async def close(
        self, code: int = close_codes.BLOCK_ENDED, reason: str = "", *, is_in_notification: bool = False
    ) -> None:
        """Close the websocket, and raise what the function that answers the Close has raised."""
        is_in_notification = self.begin_closing(code, reason) or is_in_notification
        self._peer_stream.raise_answer()
        await super().close(code, reason, is_in_notification=is_in_notification)

    async def read_until(
        self, take: Callable[[], T | None], what: str | None = None, timeout: float | None = None
    ) -> T:
        """Read until ``take()`` returns something. Raise if a caller receives and would wait forever."""
        is_receiver = what is not None or self.listening is not None
        if is_receiver:
            take = partial(self._take_or_raise, take, what or "frame")
        return await super().read_until(take, what, timeout)

    def _take_or_raise(self, take: Callable[[], T | None], awaited: str) -> T | None:
        """Take what has arrived, or raise the peer's error if nothing will arrive; mutex held."""
        taken = take()
        if taken is not None or not self._would_wait_forever():
            return taken
        error = self._peer.take_error(awaited)
        if self.listening is None:
            try:
                raise error
            finally:
                del error  # Its traceback has this frame.
        # A listener calls no method that could raise the error. It is told about a lost connection instead.
        self._connection.receive_eof(error)
        self._attend(())
        return take()

    def _would_wait_forever(self) -> bool:
        """Return whether nothing can be received and nothing is on the way; mutex held."""
        # A listener always waits: it is there before the program has sent anything.
        if (self._is_patient or self.listening is not None) and not self._peer.has_error:
            return False
        connection, wire = self._connection, self._wire
        # Another thread may have taken bytes from the wire, and not yet passed them to the connection.
        is_on_the_way = wire.written > connection.bytes_received or (wire.is_closed and not connection.has_ended)
        return not (is_on_the_way or connection.holds_bytes or connection.failure is not None)


def _send_or_raise(
    send: Callable[..., Awaitable[object] | None],
    peer: _PeerStream,
    *arguments: Any,
) -> Awaitable[object] | None:
    """Send a frame, and raise what the function that answers it has raised."""
    rest = send(*arguments)
    if peer.error is not None and inspect.iscoroutine(rest):
        rest.close()  # the checkpoint of a flavour that has one
    peer.raise_answer()
    return rest


class _PeerStream:
    """A :class:`~polysocket.effects.ByteStream` to a peer that takes everything at once."""

    pending: int = 0

    def __init__(self, wire: Wire, peer: StubPeer) -> None:
        self.error: Exception | None = None
        self._wire = wire
        self._peer = peer

    async def read(self) -> bytes:
        """Wait for bytes from the peer."""
        return await self._wire.read()

    def read_now(self) -> bytes | None:
        """Return what the peer has sent; None if nothing is left."""
        return self._wire.read_now()

    def watch(self, call: Callable[[], object] | None, /) -> float:
        """Make this call when the peer sends something."""
        self._wire.watch(call)
        return 0

    def progress(self) -> tuple[int, int]:
        """Return two zeros: no bytes are ever pending."""
        return 0, 0

    def write(self, data: bytes) -> None:
        """Let the peer receive the bytes and answer; keep its error, which must not look like an interrupted write."""
        try:
            self._peer.receive(data)
        except OSError:
            raise
        except Exception as error:  # noqa: BLE001 - raised by the session
            self.error = error

    def raise_answer(self) -> None:
        """Raise what the function that answers the latest frame has raised, if anything."""
        error, self.error = self.error, None
        try:
            if error is not None:
                raise error
        finally:
            del error  # Its traceback has this frame.

    async def drain(self) -> None:
        """Do nothing: no bytes are ever pending."""

    async def close(self) -> None:
        """End the connection."""
        self.abort()

    def abort(self) -> None:
        """End the connection."""
        self._wire.abort()
