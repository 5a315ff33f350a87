"""``WebSocketStub``: what the other side of a websocket will say, as an immutable value (sttp's ``WebSocketStub``).

What a stub is made of lives in :mod:`~polysocket.testing.peer`; how a backend comes to it, in
:mod:`~polysocket.testing.backend`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from polysocket.effects import Effect
from polysocket.frames import Close, DataFrame
from polysocket.request import Request
from polysocket.response import Response
from polysocket.testing.errors import StubError
from polysocket.testing.flavours import effect_of
from polysocket.testing.handshake import plain, plain_request, shake_hands
from polysocket.testing.peer import Incoming, Responder, StubSession
from polysocket.testing.recording import Recording, Redact, unchanged
from polysocket.testing.replaying import Replay
from polysocket.websocket import WebSocket

__all__ = ["Incoming", "WebSocketStub"]

F = TypeVar("F")
S = TypeVar("S")


class Responses:
    """The :class:`~polysocket.testing.peer.Responder` that a function makes, which carries a state along."""

    def __init__(self, state: Any, function: Callable[[Any, DataFrame], tuple[Any, Iterable[Incoming]]]) -> None:
        self._state = state
        self._function = function

    def respond(self, frame: DataFrame | Close) -> Iterable[Incoming]:
        """What the function gives for a data frame."""
        if isinstance(frame, Close):
            return []
        self._state, answers = self._function(self._state, frame)
        _check_list(answers)
        return answers

    def lacking(self) -> str:
        """How to prepare more."""
        return (
            "nothing is prepared that could be received: add a frame to with_initial_incoming(), or a Close to end it; "
            "answer what is sent by then_respond(); or have receive wait, as in life, by then_wait()"
        )


def _check_list(answers: object) -> None:
    if not isinstance(answers, Iterable) or isinstance(answers, str | bytes):
        raise TypeError(f"a stub says a list of frames or messages, not {answers!r}")


def _silence() -> Responder:
    return Responses(None, lambda state, _: (state, ()))


@dataclass(frozen=True, slots=True)
class WebSocketStub:
    """A websocket's other side, prepared for a test: give it to a :class:`BackendStub`, or :meth:`build` a websocket.

    It begins anew for each websocket, answers Pings and the Close by itself, and all else is as in life. Where nothing
    is prepared, ``receive`` raises :class:`NothingPrepared` at once (a :class:`Listener` waits).

    An exception in the place of a frame is raised by ``receive``, and the websocket stays open; but an ``OSError`` is
    what the network does: the connection is lost by it.
    """

    initial: tuple[Incoming, ...] = ()
    make_responder: Callable[[], Responder] = _silence
    patient: bool = False

    @staticmethod
    def with_initial_incoming(frames: Iterable[Incoming]) -> WebSocketStub:
        """Have these frames, or whole messages, received first (sttp's ``initialReceive``)."""
        _check_list(frames)
        return WebSocketStub(tuple(frames))

    @staticmethod
    def replaying(recording: Recording, *, redact: Redact = unchanged) -> WebSocketStub:
        """Say what the server said in a recording, each frame behind those of the client that it came behind.

        A client that sends something else gets :class:`ReplayMismatch`. Pings and Pongs are not compared, since when
        they go is chance. ``redact`` is that of the :class:`RecordingBackend`.
        """
        return WebSocketStub(tuple(Replay(recording, redact).initial), lambda: Replay(recording, redact))

    def then_respond(self, function: Callable[[DataFrame], Iterable[Incoming]]) -> WebSocketStub:
        """Answer each data frame by the frames, or whole messages, that the function gives for it (``thenRespond``).

        The function is called by the ``send``, which raises what it raises. It must not use the websocket.
        """
        return replace(self, make_responder=lambda: Responses(None, lambda _, frame: (None, function(frame))))

    def then_respond_with_state(
        self, initial: S, function: Callable[[S, DataFrame], tuple[S, Iterable[Incoming]]]
    ) -> WebSocketStub:
        """The same with a state: the function takes it, and gives the next one (sttp's ``thenRespondS``)."""
        return replace(self, make_responder=lambda: Responses(initial, function))

    def then_wait(self) -> WebSocketStub:
        """Let a ``receive`` for which nothing is prepared wait, for programs that send in another task or thread."""
        return replace(self, patient=True)

    def build(
        self,
        flavour: type[F],
        *,
        request: Request = plain_request,
        effect: Effect | None = None,
    ) -> WebSocket[F]:
        """An open websocket with this other side, in a flavour: ``Blocking``, ``Threaded``, ``Asyncio``, ``Trio``.

        ``Async`` is anyio's. For a flavour of your own give its ``effect`` too.
        """
        agreed = shake_hands(request, lambda _, handshake: handshake.accept(), plain)
        if isinstance(agreed, Response):
            raise StubError(f"the request can't be accepted: {agreed.status_line}: {agreed.body.decode()}")
        waiting = effect or effect_of(flavour)
        return WebSocket(self._open(waiting, agreed.client.response, request), waiting)

    def _open(self, effect: Effect, response: Response, limits: Request) -> StubSession:
        return StubSession(
            effect,
            response,
            limits,
            initial=self.initial,
            responder=self.make_responder(),
            patient=self.patient,
        )
