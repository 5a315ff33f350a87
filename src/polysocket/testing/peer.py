"""The other side of a stubbed websocket: a server in memory that answers in the moment in which something is sent.

The session in front of it is a real one. Since nothing ever comes later, it can tell that a ``receive`` would wait for
ever; it then raises instead.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol, TypeVar

from wsproto import ConnectionType

from polysocket._core.connection import Connection
from polysocket._core.states import State
from polysocket._session.session import Session
from polysocket.effects import Effect
from polysocket.errors import WebSocketError
from polysocket.frames import Binary, Close, DataFrame, Frame, Ping, Pong, Text
from polysocket.request import Request
from polysocket.response import Response
from polysocket.testing.errors import NothingPrepared
from polysocket.testing.memory import Wire

__all__ = ["Incoming", "Peer", "Responder", "StubSession"]

T = TypeVar("T")

Incoming = Frame | Close | str | bytes | Exception
"""What a peer says: a frame, a whole message, or an exception that the client's ``receive`` raises in its place."""


class Responder(Protocol):
    """What a peer says to what it hears; made anew for each websocket."""

    def respond(self, frame: DataFrame | Close, /) -> Iterable[Incoming]:
        """The answers to a data frame, or to the Close, which else is answered as RFC 6455 has it."""
        ...

    def lacking(self) -> str:
        """What to tell whoever receives when there is nothing to say."""
        ...


class Peer:
    """Hears the client's bytes, and says its answers on the wire. Guarded by the session's lock, which calls it.

    What comes behind an exception is said once that was raised; Pongs, and the answer to a Close, do not wait for it.
    """

    def __init__(self, wire: Wire, initial: Iterable[Incoming], responder: Responder) -> None:
        # Two connections, since one alone answers a Close by itself, and a replay has its own answer.
        self._ears = Connection(ConnectionType.SERVER)
        self._ears.queue.limit(None, None)
        self._voice = Connection(ConnectionType.SERVER)
        self._wire = wire
        self._responder = responder
        self._prepared: deque[Incoming] = deque(initial)
        self._say_prepared()

    def hear(self, data: bytes) -> None:
        """Take what the client sends, and answer."""
        self._ears.receive(data)
        while (frame := self._ears.next_frame()) is not None:
            match frame:
                case Ping(payload):
                    self._say(Pong(payload))
                case Pong():
                    pass
                case Close():
                    self._prepared.clear()
                    self._respond_to_close(frame)
                case _:
                    self._respond(frame)

    @property
    def has_error(self) -> bool:
        """Whether an exception is the next thing to be received."""
        return bool(self._prepared)

    def take_error(self) -> Exception:
        """What a receive raises to which the wire has nothing to give."""
        if not self._prepared:
            return NothingPrepared(self._responder.lacking())
        error = self._prepared.popleft()
        assert isinstance(error, Exception), "only an exception holds back what is prepared"
        self._say_prepared()
        return error

    def _respond_to_close(self, close: Close) -> None:
        try:
            self._respond(close)
        finally:
            self._say(Close(close.code))  # RFC 6455 §5.5.1; not behind a Close that was said.
            self._end_if_closed()

    def _respond(self, frame: DataFrame | Close) -> None:
        self._prepared.extend(self._responder.respond(frame))
        self._say_prepared()

    def _say_prepared(self) -> None:
        while self._prepared and not _is_raised(self._prepared[0]):
            self._say(self._prepared.popleft())

    def _say(self, answer: Incoming) -> None:
        if self._voice.state is not State.OPEN:
            return  # Behind its Close a server has nothing more to say.
        if isinstance(answer, Exception):
            assert isinstance(answer, OSError)
            self._voice.receive_eof(answer)
            self._wire.end(answer)
            return
        frame = _frame(answer)
        is_continuation = self._voice.open_message and isinstance(frame, Text | Binary)
        self._wire.write(self._voice.send(frame, is_continuation))
        self._end_if_closed()

    def _end_if_closed(self) -> None:
        # RFC 6455 §7.1.1: the server is the first to end the TCP connection.
        if State.OPEN not in (self._ears.state, self._voice.state):
            self._wire.end()


def _frame(answer: Frame | Close | str | bytes) -> Frame | Close:
    if isinstance(answer, str):
        return Text(answer)
    return Binary(answer) if isinstance(answer, bytes) else answer


def _is_raised(answer: Incoming) -> bool:
    """Whether ``receive`` raises it as it is; other OSErrors are the network's, by which the connection is lost."""
    return isinstance(answer, WebSocketError) or (isinstance(answer, Exception) and not isinstance(answer, OSError))


class PeerStream:
    """A :class:`~polysocket.effects.ByteStream` to a peer."""

    pending: int = 0

    def __init__(self, wire: Wire, peer: Peer) -> None:
        self._wire = wire
        self._peer = peer

    async def read(self) -> bytes:
        """Wait for what the peer says."""
        return await self._wire.read()

    def write(self, data: bytes) -> None:
        """Let the peer hear it, and answer."""
        self._peer.hear(data)

    async def drain(self) -> None:
        """Nothing: the peer takes all at once."""

    async def close(self) -> None:
        """End the connection."""
        self.abort()

    def abort(self) -> None:
        """End the connection."""
        self._wire.abandon()


class StubSession(Session):
    """A session with a peer; where that has nothing to say, receiving raises, unless it is ``patient``."""

    def __init__(
        self,
        effect: Effect,
        response: Response,
        limits: Request,
        *,
        initial: Iterable[Incoming],
        responder: Responder,
        patient: bool,
    ) -> None:
        self._wire = Wire(effect)
        self._peer = Peer(self._wire, initial, responder)
        self._is_patient = patient
        self._is_listened_to = False
        connection = Connection(ConnectionType.CLIENT, max_message_size=limits.max_message_size)
        super().__init__(effect, PeerStream(self._wire, self._peer), connection, response, limits.close_timeout)
        for name in ("take_frame", "take_data", "take_message"):
            setattr(self.receiver, name, self._or_raising(getattr(self.receiver, name)))

    async def receive_each(self, handle: Callable[[Frame], Awaitable[None]]) -> None:
        """Hand over each frame; this waits, since a listener is there before anything was sent."""
        self._is_patient = self._is_listened_to = True
        await super().receive_each(handle)

    def _or_raising(self, take: Callable[..., Any]) -> Callable[..., Any]:
        """Make ``take`` raise the prepared error, or :class:`NothingPrepared`, instead of having its caller wait."""

        def take_or_raise(*args: Any) -> Any:
            taken = take(*args)
            if taken is None and self._is_stuck():
                error = self._peer.take_error()
                if not self._is_listened_to:
                    raise error
                # A listener awaits no call that could raise: it is told about a lost connection only.
                self._connection.receive_eof(error)
                self._attend(())
                raise self.error()
            return taken

        return take_or_raise

    def _is_stuck(self) -> bool:
        """Return True if nothing can be received, and nothing is about to arrive; the mutex is held."""
        if self._is_patient and not self._peer.has_error:
            return False
        is_read = self._reader.is_reading and not self._wire.has_idle_reader
        connection = self._connection
        return not (is_read or not self._wire.is_empty or connection.holds_bytes or connection.failure is not None)
