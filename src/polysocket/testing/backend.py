"""``BackendStub[F]``: a backend that opens no connection, but what its rules say (sttp's ``SttpBackendStub``).

The opening handshake is the real one, both halves of it; behind a 101 there is a :class:`WebSocketStub`. So requests,
redirects, rejections and handlers are judged as in life.
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
    """What is done with a request; behind a 101, the websocket's other side, or what makes a result of the handler."""

    answer: Answer
    stub: WebSocketStub = silent
    handle: Callable[[Handler], object] | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """Which requests get a reply."""

    name: str
    matches: Callable[[Request], bool]
    reply: Reply


class BackendStub(Backend[F]):
    """A backend for tests, in the flavour that its maker names: :meth:`blocking`, :meth:`threaded` and so on.

    It is immutable: each rule gives a new one. The first rule that matches a request decides; where none does, the
    fallback opens the websocket, and without one :class:`UnmatchedRequest` says what was asked for, and what the rules
    are. Stubs that are made of one another close each other's websockets.
    """

    def __init__(self, connector: StubConnector) -> None:
        super().__init__(connector)
        self._stub_connector = connector

    @staticmethod
    def of(flavour: type[G], *, request: Request = basic_request, effect: Effect | None = None) -> BackendStub[G]:
        """A stub without rules; ``request`` is what a URL begins with, ``effect`` that of a flavour of your own."""
        return BackendStub(StubConnector(effect or effect_of(flavour), request))

    @staticmethod
    def blocking() -> BackendStub[Blocking]:
        """A stub of a ``BlockingBackend``."""
        return BackendStub.of(Blocking)

    @staticmethod
    def threaded() -> BackendStub[Threaded]:
        """A stub of a ``ThreadedBackend``."""
        return BackendStub.of(Threaded)

    @staticmethod
    def asyncio() -> BackendStub[Asyncio]:
        """A stub of an ``AsyncioBackend``."""
        return BackendStub.of(Asyncio)

    @staticmethod
    def trio() -> BackendStub[Trio]:
        """A stub of a ``TrioBackend``."""
        return BackendStub.of(Trio)

    @staticmethod
    def anyio() -> BackendStub[Async]:
        """A stub of an ``AnyioBackend``."""
        return BackendStub.of(Async)

    def when_request_matches(self, predicate: Callable[[Request], bool]) -> When[F]:
        """Begin a rule for those requests for which the predicate is true (sttp's ``whenRequestMatches``)."""
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
    """A rule that is begun; each method ends it, and gives the stub that has it."""

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
        """Accept; the websocket's other side is the stub (sttp's ``thenRespondWebSocket``).

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
        """Accept; what the function makes of the handler is the result (sttp's ``thenHandleOpenWebSocket``).

        It may give the result in ``F``: a coroutine, a future.
        """
        return self._then(Reply(_accepting(headers, subprotocol), handle=function))

    def then_replay(self, recording: Recording, *, redact: Redact = unchanged) -> BackendStub[F]:
        """Do what the server did in a recording: accept, and say what it said, or reject, each with its headers.

        As :meth:`WebSocketStub.replaying`; raises ValueError where there was no answer.
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
    """Makes stubs of backends, ``make(Asyncio)``, and ends all that they have opened; pytest's ``polysocket_stub``."""

    def __init__(self) -> None:
        self._connectors: list[SocketConnector] = []

    def __call__(self, flavour: type[G]) -> BackendStub[G]:
        """A new stub in a flavour: ``Blocking``, ``Threaded``, ``Asyncio``, ``Trio`` or ``Async``."""
        stub = BackendStub.of(flavour)
        self._connectors.append(stub._stub_connector)
        return stub

    def abort_all(self) -> None:
        """End what was opened, and not closed."""
        for connector in self._connectors:
            connector.abort()


class StubConnector(SocketConnector):
    """The :class:`~polysocket.backend.Connector` of a stub."""

    def __init__(self, effect: Effect, request: Request) -> None:
        super().__init__(effect, Transport(), request)
        self._rules: tuple[Rule, ...] = ()
        self._fallback: Connector | None = None

    def with_rule(self, rule: Rule) -> StubConnector:
        """The same connector, with one rule more."""
        connector = copy.copy(self)
        connector._rules = (*self._rules, rule)
        connector._open_sessions = _OpenSessions(self._open_sessions.sessions)
        return connector

    def with_fallback(self, fallback: Connector) -> StubConnector:
        """The same connector, with this fallback."""
        connector = copy.copy(self)
        connector._fallback = fallback
        return connector

    def observed_by(self, observer: Observer) -> Self:
        """The same connector, with one observer more; its fallback is observed too."""
        connector = super().observed_by(observer)
        connector._fallback = None if self._fallback is None else self._fallback.observed_by(observer)
        return connector

    async def open_websocket(self, request: str | Request, handler: Handler) -> WebSocketResponse[Any]:
        """Do what the rules say; the handler is refused first where it can't work here."""
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
        """The rule's reply and its 101, behind all redirects; raises what the opening of a real websocket raises."""
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
    """Stands for the user's handler, and gives what a function makes of it; the websocket is not used."""

    def __init__(self, function: Callable[[Handler], object], handler: Handler) -> None:
        self._function = function
        self._handler = handler

    def check(self, effect: Effect) -> None:
        """The user's handler was checked."""

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
    """The name by which its author finds it."""
    name = getattr(predicate, "__qualname__", repr(predicate))
    code = getattr(predicate, "__code__", None)
    return name if code is None else f"{name} ({Path(code.co_filename).name}:{code.co_firstlineno})"
