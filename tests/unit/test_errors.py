"""The tree of errors: base classes, texts, and data that survives pickling and copying."""

from __future__ import annotations

import concurrent.futures
import copy
import errno
import functools
import multiprocessing
import pickle
import socket
import ssl
from collections.abc import Callable
from typing import cast

import pytest

from polysocket import errors
from polysocket._opening.dialer import causes_of, system_errno
from polysocket.close_info import CloseCause, CloseInfo, Side
from polysocket.errors import (
    BackendClosed,
    BufferFull,
    ConcurrentReceive,
    ConnectFailed,
    ConnectionLost,
    ExchangeEnded,
    InvalidFrame,
    InvalidHandler,
    InvalidJSON,
    InvalidRequest,
    InvalidUpgrade,
    InvalidURL,
    MessageTooBig,
    MultiplexerFailed,
    NoAsyncLibrary,
    OpeningFailed,
    OpenTimeout,
    ProtocolError,
    ProxyFailed,
    ProxyRejected,
    ReceiveTimeout,
    RedirectRefused,
    ReentrantCall,
    SendTimeout,
    SubscriptionFull,
    UnexpectedFrame,
    UpgradeRejected,
    WebSocketClosed,
    WebSocketError,
    WrongEventLoop,
)
from polysocket.frames import Binary, Close, CloseCode, Text
from polysocket.headers import Headers
from polysocket.response import Response

INFO = CloseInfo(Side.REMOTE, CloseCause.CLOSE, Close(1001, "bye"), Close(1001))
REJECTION = Response(403, Headers([("X-Reason", "policy")]), "Forbidden", body=b"no entry")

CAUSES = (
    OSError(errno.ECONNREFUSED, "refused", "::1"),
    OSError(errno.ETIMEDOUT, "timed out", "127.0.0.1"),
    ssl.SSLError(1, "wrong version"),
)

EACH: list[WebSocketError] = [
    WebSocketError("why"),
    InvalidURL("why"),
    InvalidRequest("why"),
    InvalidFrame("why"),
    BackendClosed("why"),
    NoAsyncLibrary("why"),
    InvalidHandler("why"),
    UnexpectedFrame("why", Binary(b"a", final=False), Text),
    InvalidJSON("why", "no JSON"),
    ExchangeEnded("why"),
    SubscriptionFull("why", 1, 1024),
    MultiplexerFailed("why"),
    ConcurrentReceive("why"),
    ReentrantCall("why"),
    WrongEventLoop("why"),
    OpeningFailed("why"),
    ConnectFailed("why", errno.ECONNREFUSED, CAUSES),
    ProxyFailed("why", errno.ECONNRESET, CAUSES[1:]),
    ProxyRejected("why", REJECTION),
    OpenTimeout("why", 0.5, "connecting"),
    InvalidUpgrade("why"),
    UpgradeRejected(REJECTION),
    RedirectRefused(REJECTION, "why"),
    ReceiveTimeout("why", 0.5, "text message"),
    SendTimeout("why", 0.5, True, 3),
    WebSocketClosed(INFO),
    ProtocolError(INFO),
    MessageTooBig(INFO, 1024),
    BufferFull(INFO),
    ConnectionLost(INFO),
]

# Base classes besides WebSocketError, as in the tree of the module's docstring.
ALSO: dict[type[WebSocketError], set[type[BaseException]]] = {
    WebSocketError: set(),
    InvalidURL: {ValueError},
    InvalidRequest: {ValueError},
    InvalidFrame: {ValueError},
    BackendClosed: {RuntimeError},
    NoAsyncLibrary: {RuntimeError},
    InvalidHandler: {TypeError},
    UnexpectedFrame: set(),
    InvalidJSON: {ValueError},
    ExchangeEnded: set(),
    SubscriptionFull: set(),
    MultiplexerFailed: set(),
    ConcurrentReceive: {RuntimeError},
    ReentrantCall: {RuntimeError},
    WrongEventLoop: {RuntimeError},
    OpeningFailed: set(),
    ConnectFailed: {OpeningFailed, OSError},
    ProxyFailed: {OpeningFailed, ConnectFailed, OSError},
    ProxyRejected: {OpeningFailed, ConnectFailed, ProxyFailed, OSError},
    OpenTimeout: {OpeningFailed, TimeoutError, OSError},
    InvalidUpgrade: {OpeningFailed},
    UpgradeRejected: {OpeningFailed},
    RedirectRefused: {OpeningFailed, UpgradeRejected},
    ReceiveTimeout: {TimeoutError, OSError},
    SendTimeout: {TimeoutError, OSError},
    WebSocketClosed: set(),
    ProtocolError: {WebSocketClosed},
    MessageTooBig: {WebSocketClosed},
    BufferFull: {WebSocketClosed},
    ConnectionLost: {WebSocketClosed},
}


def named(value: object) -> str:
    return value.__name__ if isinstance(value, type) else type(value).__name__


def test_every_public_error_is_in_these_tests() -> None:
    public = {getattr(errors, name) for name in errors.__all__} - {Side, CloseCause, CloseInfo}
    assert public == set(ALSO) == {type(error) for error in EACH}


@pytest.mark.parametrize("kind", ALSO, ids=named)
def test_each_error_has_exactly_the_base_classes_of_the_tree(kind: type[WebSocketError]) -> None:
    others = set(ALSO) | {ValueError, TypeError, RuntimeError, OSError, TimeoutError, ConnectionError, KeyError}
    assert {other for other in others if issubclass(kind, other)} == ALSO[kind] | {WebSocketError, kind}


@pytest.mark.parametrize("kind", ALSO, ids=named)
def test_each_error_has_a_docstring(kind: type[WebSocketError]) -> None:
    assert kind.__doc__


def pickled(error: WebSocketError, protocol: int) -> WebSocketError:
    copied: WebSocketError = pickle.loads(pickle.dumps(error, protocol))
    return copied


class Retried(ConnectFailed):
    """A user's error, which takes other arguments than it passes on."""

    def __init__(self, attempt: int, *, host: str) -> None:
        super().__init__(f"attempt {attempt} on {host}", errno.EHOSTUNREACH, CAUSES)
        self.attempt = attempt


class Forbidden(UpgradeRejected):
    """A user's error, which takes nothing."""

    def __init__(self) -> None:
        super().__init__(REJECTION, "forbidden")


class Slow(ReceiveTimeout):
    """A user's error, which takes other arguments than it passes on."""

    def __init__(self, *, seconds: float) -> None:
        super().__init__("slow", seconds, "message")


class TooLong(MessageTooBig):
    """A user's error, which takes more arguments than it passes on."""

    def __init__(self, user: str, info: CloseInfo, limit: int) -> None:
        super().__init__(info, limit)
        self.user = user


OF_USERS: list[WebSocketError] = [
    Retried(3, host="a.example"),
    Forbidden(),
    Slow(seconds=0.5),
    TooLong("me", INFO, 10),
]

WAYS: dict[str, Callable[[WebSocketError], WebSocketError]] = {"copy": copy.copy, "deepcopy": copy.deepcopy} | {
    f"pickle {protocol}": functools.partial(pickled, protocol=protocol)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
}

OF_OSERROR = ("errno", "strerror", "filename", "filename2")


def data_of(error: WebSocketError) -> dict[str, object]:
    """Return all that an error carries, comparable: errors are equal to themselves only."""
    system = {name: getattr(error, name, None) for name in OF_OSERROR}
    attributes = vars(error) | {
        "causes": [(type(each), str(each), each.errno) for each in getattr(error, "causes", ())]
    }
    return {"type": type(error), "text": str(error), "args": error.args, **attributes, **system}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("error", [*EACH, *OF_USERS], ids=named)
def test_each_error_survives_pickling_and_copying_with_all_its_data(error: WebSocketError, way: str) -> None:
    assert data_of(WAYS[way](error)) == data_of(error)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("error", [*EACH, *OF_USERS], ids=named)
def test_what_users_add_to_an_error_survives_pickling_and_copying(error: WebSocketError, way: str) -> None:
    """Each attribute of an OSError, notes, and a text that was changed."""
    changed = copy.copy(error)
    changed.args = (*error.args[:1], "more")
    changed.add_note("seen in a test")
    vars(changed)["attempt"] = 3
    if isinstance(changed, OSError):
        changed.errno, changed.strerror, changed.filename, changed.filename2 = errno.EPIPE, "broken", "here", "there"
    copied = WAYS[way](changed)
    assert data_of(copied) == data_of(changed)
    assert copied.__notes__ == ["seen in a test"]


def raised(number: int) -> None:
    raise [*EACH, *OF_USERS][number]


def test_each_error_survives_a_process_pool() -> None:
    errors_of_all = [*EACH, *OF_USERS]
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        futures = [pool.submit(raised, number) for number in range(len(errors_of_all))]
        for error, future in zip(errors_of_all, futures, strict=True):
            assert data_of(cast("WebSocketError", future.exception(timeout=30))) == data_of(error)


def test_a_rejection_carries_the_response_and_names_its_status() -> None:
    error = UpgradeRejected(REJECTION)
    assert error.response is REJECTION
    assert str(error) == "the server did not upgrade: it answered 403 Forbidden, with a body (.response.body)"
    assert str(UpgradeRejected(Response(599, Headers()))) == "the server did not upgrade: it answered 599"


def test_a_refused_redirect_carries_the_response_and_says_why() -> None:
    error = RedirectRefused(REJECTION, "it leads from wss to ws")
    assert error.response is REJECTION
    assert str(error) == "it leads from wss to ws"


@pytest.mark.parametrize("error", [error for error in EACH if isinstance(error, WebSocketClosed)], ids=named)
def test_the_error_of_a_closed_websocket_carries_and_shows_its_close_info(error: WebSocketClosed) -> None:
    assert error.close_info is INFO
    assert error.close == Close(1001, "bye")
    assert str(error).startswith(str(INFO))


def test_the_error_of_a_lost_connection_has_no_close() -> None:
    assert ConnectionLost(CloseInfo(Side.REMOTE, CloseCause.NETWORK)).close is None


def test_the_error_about_a_message_that_is_too_big_carries_the_limit() -> None:
    assert MessageTooBig(INFO, 1024).limit == 1024


def test_a_failed_connection_may_carry_an_errno() -> None:
    assert ConnectFailed("why", errno.ECONNREFUSED).errno == errno.ECONNREFUSED
    assert ConnectFailed("why").errno is None
    assert str(ConnectFailed("why", errno.ECONNREFUSED)) == "why"


def test_a_receive_timeout_carries_its_seconds_and_the_name_of_what_was_awaited() -> None:
    error = ReceiveTimeout("why", 0.5, "text message")
    assert (error.timeout, error.awaited) == (0.5, "text message")


def test_an_open_timeout_carries_its_seconds_and_its_step() -> None:
    error = OpenTimeout("why", 0.5, "connecting")
    assert (error.timeout, error.step) == (0.5, "connecting")


def _of_attempts(*errors: OSError) -> OSError:
    error = OSError("no address could be reached")
    error.__cause__ = ExceptionGroup("attempts", errors)
    return error


@pytest.mark.parametrize(
    ("cause", "number"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), errno.ECONNREFUSED),
        (_of_attempts(OSError(errno.ENETUNREACH, "one"), OSError(errno.ECONNREFUSED, "two")), errno.ENETUNREACH),
        (socket.gaierror(socket.EAI_NONAME, "unknown"), socket.EAI_NONAME),
        (ssl.SSLError(1, "OpenSSL's own number"), None),
        (OSError("without a number"), None),
    ],
    ids=["refused", "many attempts", "unknown name", "TLS", "no number"],
)
def test_the_errno_of_a_failed_connection_is_that_of_the_system(cause: OSError, number: int | None) -> None:
    assert system_errno(causes_of(cause)[0]) == number


# CloseInfo

INFOS = {
    "Close received": (INFO, "closed by the peer; received 1001 (going away) 'bye', sent 1001 (going away)"),
    "own Close, answered": (
        CloseInfo(Side.LOCAL, CloseCause.CLOSE, Close(), Close(1000, "done")),
        "closed by this side; received 1000 (normal closure), sent 1000 (normal closure) 'done'",
    ),
    "own Close, not answered": (
        CloseInfo(Side.LOCAL, CloseCause.TIMEOUT, None, Close(), "no answer"),
        "closed by this side because of a time limit (no answer); no Close received, sent 1000 (normal closure)",
    ),
    "protocol error": (
        CloseInfo(Side.LOCAL, CloseCause.PROTOCOL_ERROR, None, Close(1002, "bad"), "bad"),
        (
            "closed by this side because of a protocol error of the peer (bad); "
            "no Close received, sent 1002 (protocol error)"
        ),
    ),
    "limit": (
        CloseInfo(Side.LOCAL, CloseCause.LIMIT, None, Close(1009), "big"),
        "closed by this side because of a limit (big); no Close received, sent 1009 (message too big)",
    ),
    "buffer": (
        CloseInfo(Side.LOCAL, CloseCause.BUFFER_FULL, None, Close(1008), "8 frames wait"),
        "closed by this side because of a full buffer (8 frames wait); no Close received, sent 1008 (policy violation)",
    ),
    "network": (
        CloseInfo(Side.REMOTE, CloseCause.NETWORK, detail="reset"),
        "closed by the peer because of the network (reset); no Close received, none sent",
    ),
    "network, without detail": (
        CloseInfo(Side.REMOTE, CloseCause.NETWORK),
        "closed by the peer because of the network; no Close received, none sent",
    ),
    "cancellation": (
        CloseInfo(Side.LOCAL, CloseCause.CANCELLATION, None, Close(1001)),
        "closed by this side because of a cancellation; no Close received, sent 1001 (going away)",
    ),
}


@pytest.mark.parametrize("case", INFOS)
def test_a_closing_explains_itself_in_one_line(case: str) -> None:
    info, text = INFOS[case]
    assert str(info) == text


@pytest.mark.parametrize(
    ("received", "code", "reason", "is_normal"),
    [
        (None, 1006, "", False),
        (Close(CloseCode.NO_STATUS_RECEIVED), 1005, "", True),
        (Close(1000, "done"), 1000, "done", True),
        (Close(1001), 1001, "", True),
        (Close(1002, "bad"), 1002, "bad", False),
        (Close(1011), 1011, "", False),
        (Close(4000, "mine"), 4000, "mine", False),
    ],
    ids=repr,
)
def test_the_connection_close_code_is_that_of_the_close_received(
    received: Close | None, code: int, reason: str, is_normal: bool
) -> None:
    """RFC 6455 §7.1.5, §7.1.6: the Close that this side sent does not count."""
    info = CloseInfo(Side.LOCAL, CloseCause.CLOSE, received, Close(4999, "sent"))
    assert (info.code, info.reason, info.is_normal) == (code, reason, is_normal)
