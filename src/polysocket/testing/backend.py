"""``BackendStub[F]``: a backend that opens stubs of websockets, as its rules say (sttp's ``SttpBackendStub``).

The opening handshake is the real one, both halves of it; after a 101, a :class:`WebSocketStub` is the peer. So
requests, redirects, rejections and handlers are checked as with a server.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

from polysocket._core.handshake import Upgraded
from polysocket._core.server_handshake import ServerHandshake, UpgradeRequest
from polysocket._opening.opening_handshake import follow
from polysocket._opening.transport import Transport
from polysocket._session.session import Session
from polysocket.backend import (
    Backend,
    Connector,
    SocketConnector,
    _OpenSessions,
    as_request,
    check_handler,
    respond,
)
from polysocket.effects import Async, Asyncio, Blocking, Effect, Threaded, Trio
from polysocket.errors import InvalidRequest
from polysocket.handlers.handler import Handler
from polysocket.handlers.listener import await_result
from polysocket.headers import Headers
from polysocket.observers.observation import Observer
from polysocket.request import Request, basic_request
from polysocket.response import Response, WebSocketResponse
from polysocket.testing.errors import UnmatchedRequest
from polysocket.testing.flavours import effect_of
from polysocket.testing.handshake import Agreed, Answer, plain, shake_hands
from polysocket.testing.recording import Recording, Redact, unchanged
from polysocket.testing.stub import WebSocketStub

__all__ = ["BackendStub", "StubFactory", "When"]

F = TypeVar("F")
G = TypeVar("G")

HeaderFields = Mapping[str, str] | Iterable[tuple[str, str]]

silent: WebSocketStub = WebSocketStub()

_SET_BY_HANDSHAKE = (
    "Connection",
    "Content-Length",
    "Sec-WebSocket-Accept",
    "Sec-WebSocket-Extensions",
    "Sec-WebSocket-Protocol",
    "Transfer-Encoding",
    "Upgrade",
)


@dataclass(frozen=True, slots=True)
class Reply:
    """The reply to a request, and after a 101 the stub of the peer, or the function that makes the result."""

    answer: Answer
    stub: WebSocketStub = silent
    handle: Callable[[Handler], object] | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """A reply, and the condition for it."""

    name: str
    matches: Callable[[Request], bool]
    reply: Reply


class BackendStub(Backend[F]):
    """A backend for tests, made in a flavour: by :meth:`blocking`, :meth:`threaded` and so on.

    A stub is immutable: adding a rule returns a new one. The first rule that matches a request decides. If no rule
    does, the fallback opens the websocket; without a fallback, :class:`UnmatchedRequest` shows the request and the
    rules. A stub and those made from it close each other's websockets.
    """

    def __init__(self, connector: StubConnector) -> None:
        super().__init__(connector)
        self._stub_connector = connector

    @staticmethod
    def of(flavour: type[G], *, request: Request = basic_request, effect: Effect | None = None) -> BackendStub[G]:
        """Make a stub without rules; ``effect`` is for a flavour of your own.

        ``request`` is the one that a URL given as a ``str`` begins with.
        """
        return BackendStub(StubConnector(effect or effect_of(flavour), request))

    @staticmethod
    def blocking() -> BackendStub[Blocking]:
        """Make a stub of a ``BlockingBackend``."""
        return BackendStub.of(Blocking)

    @staticmethod
    def threaded() -> BackendStub[Threaded]:
        """Make a stub of a ``ThreadedBackend``."""
        return BackendStub.of(Threaded)

    @staticmethod
    def asyncio() -> BackendStub[Asyncio]:
        """Make a stub of an ``AsyncioBackend``."""
        return BackendStub.of(Asyncio)

    @staticmethod
    def trio() -> BackendStub[Trio]:
        """Make a stub of a ``TrioBackend``."""
        return BackendStub.of(Trio)

    @staticmethod
    def anyio() -> BackendStub[Async]:
        """Make a stub of an ``AnyioBackend``."""
        return BackendStub.of(Async)

    def when_request_matches(self, predicate: Callable[[Request], bool]) -> When[F]:
        """Begin a rule for the requests that match the predicate (sttp's ``whenRequestMatches``)."""
        return When(self, predicate, f"requests that match {_named(predicate)}")

    def when_any_request(self) -> When[F]:
        """Begin a rule for every request (sttp's ``whenAnyRequest``)."""
        return When(self, lambda _: True, "any request")

    def with_fallback(self, backend: Backend[F]) -> BackendStub[F]:
        """Let another backend, a real one or a stub, open what no rule matches; its owner closes it."""
        return BackendStub(self._stub_connector.with_fallback(backend._connector))

    def _with_rule(self, rule: Rule) -> BackendStub[F]:
        return BackendStub(self._stub_connector.with_rule(rule))


class When(Generic[F]):
    """The beginning of a rule; each method completes the rule, and returns the stub that has it."""

    def __init__(self, stub: BackendStub[F], matches: Callable[[Request], bool], name: str) -> None:
        self._stub = stub
        self._matches = matches
        self._name = name

    def then_respond_web_socket(
        self,
        stub: WebSocketStub = silent,
        *,
        headers: HeaderFields = (),
        subprotocol: str | None = None,
    ) -> BackendStub[F]:
        """Accept; the stub is the websocket's peer (sttp's ``thenRespondWebSocket``).

        The client must have offered the ``subprotocol``.
        """
        return self._then(Reply(_accepting(headers, subprotocol), stub))

    def then_handle_open_web_socket(
        self,
        function: Callable[[Handler], object],
        *,
        headers: HeaderFields = (),
        subprotocol: str | None = None,
    ) -> BackendStub[F]:
        """Accept; the function makes the result from the handler (sttp's ``thenHandleOpenWebSocket``).

        The function may return the result in ``F``: a coroutine, a future.
        """
        return self._then(Reply(_accepting(headers, subprotocol), handle=function))

    def then_replay(self, recording: Recording, *, redact: Redact = unchanged) -> BackendStub[F]:
        """Replay the server of a recording: accept, and send its frames, or reject, each with its headers.

        See :meth:`WebSocketStub.replaying`. Raises ValueError if the recording has no answer.
        """
        response = recording.response
        if response is None:
            raise ValueError(f"there was no answer in this recording: {recording.failure}")
        headers = response.headers.without(*_SET_BY_HANDSHAKE)
        if recording.failure is not None:
            return self.then_reject(response.status, headers.pairs)
        stub = WebSocketStub.replaying(recording, redact=redact)
        return self.then_respond_web_socket(stub, headers=headers.pairs, subprotocol=response.subprotocol)

    def then_reject(self, status: int, headers: HeaderFields = (), body: bytes = b"") -> BackendStub[F]:
        """Answer with another status than 101: the opening raises :class:`UpgradeRejected`, or follows a redirect."""
        pairs = Headers(headers).pairs

        def reject(_: UpgradeRequest, handshake: ServerHandshake) -> None:
            handshake.reject(status, pairs, body)

        return self._then(Reply(reject))

    def then_raise(self, error: Exception) -> BackendStub[F]:
        """Let the opening raise this, such as a :class:`ConnectFailed`."""

        def fail(_: UpgradeRequest, __: ServerHandshake) -> None:
            raise error

        return self._then(Reply(fail))

    def _then(self, reply: Reply) -> BackendStub[F]:
        return self._stub._with_rule(Rule(self._name, self._matches, reply))


class StubFactory:
    """A maker of stubs, ``make(Asyncio)``, that can abort all their websockets; pytest's ``polysocket_stub``."""

    def __init__(self) -> None:
        self._connectors: list[SocketConnector] = []

    def __call__(self, flavour: type[G]) -> BackendStub[G]:
        """Make a stub in a flavour: ``Blocking``, ``Threaded``, ``Asyncio``, ``Trio`` or ``Async``."""
        stub = BackendStub.of(flavour)
        self._connectors.append(stub._stub_connector)
        return stub

    def abort_all(self) -> None:
        """Abort the websockets that are still open."""
        for connector in self._connectors:
            connector.abort()


class StubConnector(SocketConnector):
    """The :class:`~polysocket.backend.Connector` of a stub."""

    def __init__(self, effect: Effect, request: Request) -> None:
        super().__init__(effect, Transport(), request)
        self._rules: tuple[Rule, ...] = ()
        self._fallback: Connector | None = None

    def with_rule(self, rule: Rule) -> StubConnector:
        """Return the same connector with one more rule."""
        connector = copy.copy(self)
        connector._rules = (*self._rules, rule)
        connector._open_sessions = _OpenSessions(self._open_sessions.sessions)
        return connector

    def with_fallback(self, fallback: Connector) -> StubConnector:
        """Return the same connector with this fallback."""
        connector = copy.copy(self)
        connector._fallback = fallback
        return connector

    def observed_by(self, observer: Observer) -> Self:
        """Return the same connector with one more observer, which observes the fallback, too."""
        connector = super().observed_by(observer)
        connector._fallback = None if self._fallback is None else self._fallback.observed_by(observer)
        return connector

    async def open_websocket(self, request: str | Request, handler: Handler) -> WebSocketResponse[Any]:
        """Open a stub of a websocket by the rules, for a handler that can work in this flavour."""
        check_handler(handler, self.effect)
        self._check_open()
        request = as_request(request, self.request)
        if request.url is None:
            raise InvalidRequest("the request has no URL: add it with .get('wss://…')")
        if self._fallback is not None and self._find(request) is None:
            return await self._fallback.open_websocket(request, handler)
        reply: Reply | None = None

        async def open_stub() -> Session:
            nonlocal reply
            reply, response = self._answer(request)
            return reply.stub._open(self.effect, response, request)

        session = await self._observed(request, open_stub())
        if reply is not None and reply.handle is not None:
            handler = _Handled(reply.handle, handler)
        return await respond(self.effect, session, handler)

    def _answer(self, request: Request) -> tuple[Reply, Response]:
        """Return the reply of a rule, and the 101 after all redirects. Raises as the opening of a real websocket."""
        first = request
        while True:
            rule = self._find(request)
            if rule is None:
                raise UnmatchedRequest(request, tuple(rule.name for rule in self._rules))
            answer = shake_hands(request, rule.reply.answer, plain)
            if isinstance(answer, Agreed):
                return rule.reply, answer.client.response
            request = follow(first, request, answer, self._transport)

    def _find(self, request: Request) -> Rule | None:
        return next((rule for rule in self._rules if rule.matches(request)), None)


class _Handled(Handler):
    """A stand-in for the user's handler, whose result a function makes; the websocket is not used."""

    def __init__(self, function: Callable[[Handler], object], handler: Handler) -> None:
        self._function = function
        self._handler = handler

    def check(self, effect: Effect) -> None:
        """Check nothing: the user's handler was checked before."""

    async def start(self, effect: Effect, session: Session) -> Any:
        """Call the function."""
        session.abort()
        return await await_result(effect, self._function(self._handler))


def _accepting(headers: HeaderFields, subprotocol: str | None) -> Answer:
    pairs = Headers(headers).pairs

    def accept(_: UpgradeRequest, handshake: ServerHandshake) -> Upgraded:
        return handshake.accept(subprotocol, pairs)

    return accept


def _named(predicate: Callable[[Request], bool]) -> str:
    """Return the function's name, with the place in the source."""
    name = getattr(predicate, "__qualname__", repr(predicate))
    code = getattr(predicate, "__code__", None)
    return name if code is None else f"{name} ({Path(code.co_filename).name}:{code.co_firstlineno})"
