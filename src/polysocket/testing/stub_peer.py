"""The peer of a stubbed websocket: a server in memory that answers each frame while the client sends it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Protocol

from wsproto import ConnectionType

from polysocket._core.connection import Connection
from polysocket._core.states import State
from polysocket.errors import WebSocketError
from polysocket.frames import Binary, Close, DataFrame, Frame, Ping, Pong, Text
from polysocket.testing.errors import NothingPrepared
from polysocket.testing.memory import Wire

__all__ = ["Incoming", "Responder", "StubPeer"]

Incoming = Frame | Close | str | bytes | Exception
"""An item that a stub delivers: a frame, a whole message, or an exception that ``receive`` raises."""


class Responder(Protocol):
    """The script of a peer, made anew for each websocket."""

    def respond(self, frame: DataFrame | Close, /) -> Iterable[Incoming]:
        """Return the answers to a data frame or a Close. After a Close, the peer adds a Close if it is missing."""
        ...

    def explain_end(self, awaited: str) -> str:
        """Return the error text for a caller that awaits a message or frame although the script has nothing left."""
        ...


class StubPeer:
    """A peer that takes the client's bytes and sends its answers. The session's mutex guards it.

    An exception holds back the items after it until a caller has received the exception. It does not hold back Pongs
    and the answer to a Close.
    """

    def __init__(self, wire: Wire, initial: Iterable[Incoming], responder: Responder) -> None:
        # Two connections, since a single one answers a Close itself, and the script may have another answer.
        self._receiving = Connection(ConnectionType.SERVER)
        self._receiving.queue.limit(None, None)
        self._sending = Connection(ConnectionType.SERVER)
        self._wire = wire
        self._responder = responder
        self._prepared: deque[Incoming] = deque(initial)
        self._send_prepared()

    def receive(self, data: bytes) -> None:
        """Take bytes from the client, and answer them."""
        self._receiving.receive(data)
        while (frame := self._receiving.next_frame()) is not None:
            match frame:
                case Ping(payload):
                    self._send(Pong(payload))
                case Pong():
                    pass
                case Close():
                    self._prepared.clear()
                    self._respond_to_close(frame)
                case _:
                    self._respond(frame)

    @property
    def has_error(self) -> bool:
        """Whether the next item to be received is an exception."""
        return bool(self._prepared)

    def take_error(self, awaited: str) -> Exception:
        """Take the error for a caller that awaits a message or frame although none is on the way."""
        if not self._prepared:
            return NothingPrepared(self._responder.explain_end(awaited), awaited)
        error = self._prepared.popleft()
        assert isinstance(error, Exception), "only an exception holds back the items after it"
        self._send_prepared()
        return error

    def _respond_to_close(self, close: Close) -> None:
        try:
            self._respond(close)
        finally:
            self._send(Close(close.code))  # RFC 6455 §5.5.1; dropped if the script has sent a Close.
            self._end_if_closed()

    def _respond(self, frame: DataFrame | Close) -> None:
        self._prepared.extend(self._responder.respond(frame))
        self._send_prepared()

    def _send_prepared(self) -> None:
        while self._prepared and not _is_raised(self._prepared[0]):
            self._send(self._prepared.popleft())

    def _send(self, item: Incoming) -> None:
        if self._sending.state is not State.OPEN:
            return  # After its Close, a server sends nothing.
        if isinstance(item, Exception):
            assert isinstance(item, OSError), "other exceptions are raised by receive"
            self._sending.receive_eof(item)
            self._wire.close(item)
            return
        frame = _frame(item)
        is_continuation = self._sending.open_message and isinstance(frame, Text | Binary)
        self._wire.write(self._sending.send(frame, is_continuation))
        self._end_if_closed()

    def _end_if_closed(self) -> None:
        # RFC 6455 §7.1.1: the server is the first to close the TCP connection.
        if State.OPEN not in (self._receiving.state, self._sending.state):
            self._wire.close()


def _frame(item: Frame | Close | str | bytes) -> Frame | Close:
    if isinstance(item, str):
        return Text(item)
    return Binary(item) if isinstance(item, bytes) else item


def _is_raised(item: Incoming) -> bool:
    """Return whether ``receive`` raises this item. Any other OSError is an error of the network."""
    # Some of polysocket's errors, such as ReceiveTimeout, are an OSError, too.
    return isinstance(item, WebSocketError) or (isinstance(item, Exception) and not isinstance(item, OSError))
