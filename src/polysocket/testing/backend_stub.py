"""``BackendStub[F]``: a backend that opens stubbed websockets according to rules (sttp's ``SttpBackendStub``).

Both halves of the opening handshake are real; after a 101, a :class:`WebSocketStub` is the peer. So requests,
redirects, rejections and handlers are checked as with a server.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

from polysocket._core.handshake import Upgraded
from polysocket._core.server_handshake import ServerHandshake, UpgradeRequest, check_status
from polysocket._opening.opening_handshake import follow
from polysocket._opening.options import ConnectOptions, prepare
from polysocket._opening.transport import Transport
from polysocket._session.session import Session
from polysocket.backend import (
    Backend,
    Connector,
    SocketConnector,
    as_request,
    check_handler,
    respond,
)
from polysocket.effects import Async, Asyncio, Blocking, Effect, Threaded, Trio
from polysocket.errors import InvalidRequest
from polysocket.handlers.handler import Handler
from polysocket.handlers.listener import await_result
from polysocket.headers import Headers
from polysocket.observers.logging import ConnectionLog
from polysocket.observers.observation import Observer
from polysocket.request import Request, basic_request
from polysocket.response import Response, WebSocketResponse
from polysocket.testing.arguments import check_callable, check_kind
from polysocket.testing.effect_of import effect_of
from polysocket.testing.errors import UnmatchedRequest
from polysocket.testing.handshake import Agreed, Answer, plain, shake_hands
from polysocket.testing.recording import Recording, Redact, unchanged
from polysocket.testing.websocket_stub import WebSocketStub

__all__ = ["BackendStub", "StubFactory", "When"]

F = TypeVar("F")
G = TypeVar("G")

HeaderFields = Mapping[str, str] | Iterable[tuple[str, str]]

silent: WebSocketStub = WebSocketStub()
"""The stub that answers Pings and the Close, and sends nothing else."""

_SET_BY_HANDSHAKE = (
    "Connection",
    "Content-Length",
    "Sec-WebSocket-Accept",
    "Sec-WebSocket-Extensions",
    "Sec-WebSocket-Protocol",
    "Transfer-Encoding",
    "Upgrade",
)
"""The headers of a recorded response that the handshake of a replay sets itself."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a request; after a 101, the peer's stub, or a function that makes the result."""

    answer: Answer
    stub: WebSocketStub = silent
    handle: Callable[[Handler], object] | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """A reply, its condition, and the condition's name for error texts."""

    name: str
    matches: Callable[[Request], bool]
    reply: Reply


class BackendStub(Backend[F]):
    """A backend for tests; :meth:`blocking`, :meth:`threaded` and so on make one in a flavour.

    The first rule that matches a request decides. If no rule matches, the fallback opens the websocket. Without a
    fallback, :class:`UnmatchedRequest` is raised and shows the rules.

    A stub is immutable: adding a rule returns a new stub. The two share their websockets, and each closes them all.
    """

    def __init__(self, connector: StubConnector) -> None:
        super().__init__(connector)
        self._stub_connector = connector

    @staticmethod
    def of(flavour: type[G], *, request: Request = basic_request, effect: Effect | None = None) -> BackendStub[G]:
        """Make a stub without rules.

        Args:
            flavour: The tag ``Blocking``, ``Threaded``, ``Asyncio``, ``Trio`` or, for anyio, ``Async``.
            request: The request that a URL given as a ``str`` begins with.
            effect: The effect, for a flavour of your own.
        """
        return BackendStub(StubConnector(effect_of(flavour, effect), request))

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
        check_callable("predicate", predicate)
        return When(self, predicate, f"requests that match {_described(predicate)}")

    def when_any_request(self) -> When[F]:
        """Begin a rule for every request (sttp's ``whenAnyRequest``)."""
        return When(self, lambda _: True, "any request")

    def with_fallback(self, backend: Backend[F]) -> BackendStub[F]:
        """Let another backend open the websockets for which no rule matches; its owner closes it."""
        check_kind("backend", backend, Backend)
        return BackendStub(self._stub_connector.with_fallback(backend._connector))

    def _with_rule(self, rule: Rule) -> BackendStub[F]:
        return BackendStub(self._stub_connector.with_rule(rule))


class When(Generic[F]):
    """The beginning of a rule. Each method completes the rule, and returns the stub with it."""

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
        """Accept the request with this stub as the peer (sttp's ``thenRespondWebSocket``).

        The opening raises ValueError if the client has not offered the ``subprotocol``.
        """
        check_kind("stub", stub, WebSocketStub)
        return self._then(Reply(_accepting(headers, subprotocol), stub))

    def then_handle_open_web_socket(
        self,
        function: Callable[[Handler], object],
        *,
        headers: HeaderFields = (),
        subprotocol: str | None = None,
    ) -> BackendStub[F]:
        """Accept the request, and call the function with the handler (sttp's ``thenHandleOpenWebSocket``).

        The function's result is the response's result. It may be in ``F``: a coroutine or a future.
        """
        check_callable("function", function)
        return self._then(Reply(_accepting(headers, subprotocol), handle=function))

    def then_replay(self, recording: Recording, *, redact: Redact = unchanged) -> BackendStub[F]:
        """Replay the server of a recording: accept or reject with its headers, and send its frames.

        The frames are sent as in :meth:`WebSocketStub.replaying`. Raises ValueError if the recording has no response.
        """
        check_kind("recording", recording, Recording)
        response = recording.response
        if response is None:
            raise ValueError(f"this recording has no response to replay: {recording.failure}")
        headers = response.headers.without(*_SET_BY_HANDSHAKE)
        if recording.failure is not None:
            return self.then_reject(response.status, headers.pairs)
        stub = WebSocketStub.replaying(recording, redact=redact)
        return self.then_respond_web_socket(stub, headers=headers.pairs, subprotocol=response.subprotocol)

    def then_reject(self, status: int, headers: HeaderFields = (), body: bytes = b"") -> BackendStub[F]:
        """Answer with a status other than 101: the opening raises :class:`UpgradeRejected`, or follows a redirect."""
        pairs = Headers(headers).pairs
        check_status(status)
        check_kind("body", body, bytes)

        def reject(_: UpgradeRequest, handshake: ServerHandshake) -> None:
            handshake.reject(status, pairs, body)

        return self._then(Reply(reject))

    def then_raise(self, error: Exception) -> BackendStub[F]:
        """Raise this error from the opening, such as a :class:`ConnectFailed`."""
        if not isinstance(error, Exception):
            raise TypeError(f"error is an Exception, not {type(error).__name__}")

        def fail(_: UpgradeRequest, __: ServerHandshake) -> None:
            raise error

        return self._then(Reply(fail))

    def _then(self, reply: Reply) -> BackendStub[F]:
        return self._stub._with_rule(Rule(self._name, self._matches, reply))


class StubFactory:
    """A factory of stubs that can abort all their websockets: the fixture ``polysocket_stub`` of pytest."""

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
        connector._open_sessions = self._open_sessions.shared()
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

    async def connect(self, target: str | Request, options: ConnectOptions) -> Session:
        """Open a stubbed websocket according to the rules. The options are checked as a real backend checks them."""
        request, transport = prepare(target, options, base=self.request, transport=self._transport)
        if (fallback := self._fallback_for(request)) is not None:
            return await fallback.connect(request, options)
        session, reply = await self._open_stub(request, transport)
        if reply.handle is not None:
            session.abort()
            raise TypeError("then_handle_open_web_socket() answers open_websocket(), and connect() has no handler")
        if (buffer := options.get("buffer")) is not None:
            session.read_ahead(buffer)
        return session

    async def open_websocket(self, request: str | Request, handler: Handler) -> WebSocketResponse[Any]:
        """Open a stubbed websocket according to the rules, for a handler that can work in this flavour."""
        check_handler(handler, self.effect)
        request = as_request(request, self.request)
        if (fallback := self._fallback_for(request)) is not None:
            return await fallback.open_websocket(request, handler)
        session, reply = await self._open_stub(request, self._transport)
        if reply.handle is not None:
            handler = _FunctionOfHandler(reply.handle, handler)
        return await respond(self.effect, session, handler)

    def _fallback_for(self, request: Request) -> Connector | None:
        """Return the fallback if it is to open the websocket of a request."""
        self._check_open()
        if request.url is None:
            raise InvalidRequest("the request has no URL: add it with .get('wss://…')")
        return None if self._find(request) is not None else self._fallback

    async def _open_stub(self, request: Request, transport: Transport) -> tuple[Session, Reply]:
        log = self._log(request, transport)
        replies: list[Reply] = []

        async def open_stub() -> Session:
            reply, response, last = self._answer(request, transport, log)
            replies.append(reply)
            return reply.stub._open(self.effect, response, last)

        session = await self._observed(request, log, open_stub())
        return session, replies[0]

    def _answer(
        self, request: Request, transport: Transport, log: ConnectionLog | None
    ) -> tuple[Reply, Response, Request]:
        """Return the reply of a rule, its 101, and the request after all redirects. Raise the errors of an opening."""
        first = request
        while True:
            rule = self._find(request)
            if rule is None:
                raise UnmatchedRequest(request, tuple(rule.name for rule in self._rules))
            answer = shake_hands(request, rule.reply.answer, plain, log)
            if isinstance(answer, Agreed):
                return rule.reply, answer.client.response, request
            request = follow(first, request, answer, transport)

    def _find(self, request: Request) -> Rule | None:
        return next((rule for rule in self._rules if rule.matches(request)), None)


class _FunctionOfHandler(Handler):
    """The replacement of the user's handler if a function makes the result; the websocket is not used."""

    def __init__(self, function: Callable[[Handler], object], handler: Handler) -> None:
        self._function = function
        self._handler = handler

    def check(self, effect: Effect) -> None:
        """Do nothing: the user's handler was checked before."""

    async def start(self, effect: Effect, session: Session) -> Any:
        """Call the function, and return its result."""
        session.abort()
        return await await_result(effect, self._function(self._handler))


def _accepting(headers: HeaderFields, subprotocol: str | None) -> Answer:
    pairs = Headers(headers).pairs
    if subprotocol is not None:
        check_kind("subprotocol", subprotocol, str)

    def accept(_: UpgradeRequest, handshake: ServerHandshake) -> Upgraded:
        return handshake.accept(subprotocol, pairs)

    return accept


def _described(predicate: Callable[[Request], bool]) -> str:
    """Return the function's name, with its file and line."""
    name = getattr(predicate, "__qualname__", repr(predicate))
    code = getattr(predicate, "__code__", None)
    return name if code is None else f"{name} ({Path(code.co_filename).name}:{code.co_firstlineno})"
