"""``WebSocketStub``: the script of a websocket's peer, as an immutable value (sttp's ``WebSocketStub``).

:mod:`~polysocket.testing.stub_peer` plays the script. :mod:`~polysocket.testing.backend_stub` opens websockets with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, TypeVar, cast

from polysocket.effects import Effect
from polysocket.frames import Binary, Close, DataFrame, Ping, Pong, Text
from polysocket.request import Request
from polysocket.response import Response
from polysocket.testing.arguments import check_callable, check_kind
from polysocket.testing.effect_of import effect_of
from polysocket.testing.errors import StubError
from polysocket.testing.handshake import plain, plain_request, shake_hands
from polysocket.testing.recording import Recording, Redact, unchanged
from polysocket.testing.replay import Replay
from polysocket.testing.stub_peer import Incoming, Responder
from polysocket.testing.stub_session import StubSession
from polysocket.websocket import WebSocket

__all__ = ["WebSocketStub"]

F = TypeVar("F")
S = TypeVar("S")


class _Responses:
    """A :class:`~polysocket.testing.stub_peer.Responder` made of a function from a state to the next state."""

    def __init__(self, state: Any, function: Callable[[Any, DataFrame], tuple[Any, Iterable[Incoming]]]) -> None:
        self._state = state
        self._function = function

    def respond(self, frame: DataFrame | Close) -> Iterable[Incoming]:
        """Return the function's answers to a data frame."""
        if isinstance(frame, Close):
            return []
        self._state, answers = self._function(self._state, frame)
        return _checked(answers)

    def explain_end(self, awaited: str) -> str:
        """Return how to prepare more."""
        return (
            f"no {awaited} is left to be received: add frames, or a Close, with with_initial_incoming(); reply to sent "
            "frames with then_respond(); or use then_wait() to make receive wait"
        )


def _checked(answers: object) -> tuple[Incoming, ...]:
    """Return the answers; raise TypeError unless a stub can send each of them."""
    if not isinstance(answers, Iterable) or isinstance(answers, str | bytes):
        raise TypeError(f"a stub sends a list of frames or messages, not {answers!r}")
    listed = tuple(cast("Iterable[object]", answers))
    for answer in listed:
        if not isinstance(answer, Text | Binary | Ping | Pong | Close | str | bytes | Exception):
            raise TypeError(f"a stub sends frames, messages and exceptions, not {answer!r}")
    return cast("tuple[Incoming, ...]", listed)


def _silence() -> Responder:
    return _Responses(None, lambda state, _: (state, ()))


@dataclass(frozen=True, slots=True)
class WebSocketStub:
    """A scripted peer: give it to a :class:`BackendStub`, or :meth:`build` a websocket with it.

    It starts from the beginning for each websocket, and answers Pings and the Close automatically. If no frame is left,
    ``receive`` raises :class:`NothingPrepared` at once. A :class:`Listener` waits instead.

    An exception among the frames is raised by ``receive``, and the websocket stays open. An ``OSError`` is an error of
    the network: the connection is lost.
    """

    initial: tuple[Incoming, ...] = ()
    make_responder: Callable[[], Responder] = _silence
    is_patient: bool = False

    @staticmethod
    def with_initial_incoming(frames: Iterable[Incoming]) -> WebSocketStub:
        """Return a stub whose frames, or whole messages, are received first (sttp's ``initialReceive``)."""
        return WebSocketStub(_checked(frames))

    @staticmethod
    def replaying(recording: Recording, *, redact: Redact = unchanged) -> WebSocketStub:
        """Return a stub that sends what the server of a recording sent, each frame after the same frames of the client.

        A client that sends something else gets :class:`ReplayMismatch`. Pings and Pongs are not compared, since their
        timing is random.

        Args:
            recording: A recording in which a websocket was opened.
            redact: The function that was passed to the :class:`RecordingBackend`.

        Raises:
            ValueError: No websocket was opened in the recording.
        """
        check_kind("recording", recording, Recording)
        check_callable("redact", redact)
        return WebSocketStub(tuple(Replay(recording, redact).initial), lambda: Replay(recording, redact))

    def then_respond(self, function: Callable[[DataFrame], Iterable[Incoming]]) -> WebSocketStub:
        """Answer each data frame with the frames, or whole messages, that the function returns (``thenRespond``).

        ``send`` calls the function, and raises the function's errors. The function must not use the websocket.
        """
        check_callable("function", function)
        return replace(self, make_responder=lambda: _Responses(None, lambda _, frame: (None, function(frame))))

    def then_respond_with_state(
        self, initial: S, function: Callable[[S, DataFrame], tuple[S, Iterable[Incoming]]]
    ) -> WebSocketStub:
        """Answer as :meth:`then_respond` does, with a function from a state to the next one (``thenRespondS``)."""
        check_callable("function", function)
        return replace(self, make_responder=lambda: _Responses(initial, function))

    def then_wait(self) -> WebSocketStub:
        """Make ``receive`` wait if no frame is left, for programs that send in another task or thread."""
        return replace(self, is_patient=True)

    def build(
        self,
        flavour: type[F],
        *,
        request: Request = plain_request,
        effect: Effect | None = None,
    ) -> WebSocket[F]:
        """Make an open websocket with this peer.

        Args:
            flavour: The tag ``Blocking``, ``Threaded``, ``Asyncio``, ``Trio`` or, for anyio, ``Async``.
            request: The client's request, with its limits.
            effect: The effect, for a flavour of your own.

        Raises:
            StubError: A server can't accept the request.
        """
        agreed = shake_hands(request, lambda _, handshake: handshake.accept(), plain)
        if isinstance(agreed, Response):
            raise StubError(f"the request can't be accepted: {agreed.status_line}: {agreed.body.decode()}")
        waiting = effect_of(flavour, effect)
        return WebSocket(self._open(waiting, agreed.client.response, request), waiting)

    def _open(self, effect: Effect, response: Response, request: Request) -> StubSession:
        return StubSession(
            effect,
            response,
            request,
            initial=self.initial,
            responder=self.make_responder(),
            is_patient=self.is_patient,
        )
