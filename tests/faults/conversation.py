"""Conversations via the fault proxy: what the client says, and the judgement of what it has seen."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from polysocket import (
    Async,
    CloseCause,
    CloseInfo,
    ConnectOptions,
    Deflate,
    OpeningFailed,
    ReceiveTimeout,
    Text,
    WebSocket,
    WebSocketClosed,
    polymorphic,
)
from tests.faults.proxy import Fault, FaultProxy, Kind, Link, Way
from tests.faults.script import CLOSE_CODE, DATA, FRAGMENTS, GREETING, PLEASE_CLOSE, expected

LONG = 20.0  # seconds for what must go on
SHORT = 0.3  # seconds for what may go on forever: after a stall, or after a corrupted length
PAUSE = 0.005  # seconds in which the proxy and the server, if the machine is not busy, can do their part
TOO_LONG = 12.0  # seconds after which a conversation that should go on has hung


@dataclass(frozen=True)
class Conversation:
    """A kind of conversation; one that is not ``whole`` has its faults after the opening only."""

    name: str
    compression: Deflate | None
    tls: bool
    server_closes: bool
    whole: bool

    @property
    def messages(self) -> list[str | bytes]:
        return expected(server_closes=self.server_closes)


CONVERSATIONS = [
    Conversation("plain", None, tls=False, server_closes=False, whole=True),
    Conversation("plain-server_closes", None, tls=False, server_closes=True, whole=False),
    Conversation("deflate", Deflate(), tls=False, server_closes=False, whole=False),
    Conversation("deflate-server_closes", Deflate(), tls=False, server_closes=True, whole=False),
    Conversation("tls", None, tls=True, server_closes=False, whole=True),
    Conversation("tls-server_closes", None, tls=True, server_closes=True, whole=False),
]


Sleep = Callable[[float], Coroutine[Any, Any, object]]


@dataclass
class Case:
    """One conversation with at most one fault, and what its client has seen."""

    conversation: Conversation
    link: Link
    limit: float  # seconds for each wait
    options: ConnectOptions
    sleep: Sleep
    received: list[str | bytes] = field(default_factory=list)
    opened_at: dict[Way, int] = field(default_factory=dict)
    error: BaseException | None = None  # the first one
    close_info: CloseInfo | None = None
    has_received_all: bool = False  # until the websocket's end
    seconds: float = 0

    @property
    def url(self) -> str:
        scheme = "wss" if self.conversation.tls else "ws"
        return f"{scheme}://127.0.0.1:{self.link.port}/"

    async def let_all_arrive(self) -> None:
        """Receive nothing for a while, so that messages and the end of the stream are there at the same time.

        Pieces of a split are received one at a time.
        """
        if self.link.fault is not None and self.link.fault.kind is not Kind.SPLIT:
            await self.sleep(PAUSE)

    @property
    def was_too_slow(self) -> bool:
        """Whether a short time limit has passed before the fault, so that the case shows nothing."""
        return isinstance(self.error, TimeoutError) and not self.link.has_fault and self.limit < LONG


@dataclass(frozen=True)
class Maker:
    """The maker of cases: it knows the ports and the trust."""

    proxy: FaultProxy
    sleep: Sleep
    ports: list[int]
    trusting: Any

    def case(self, conversation: Conversation, fault: Fault | None, short: float = SHORT) -> Case:
        link = self.proxy.link(self.ports[conversation.tls], fault)
        may_last = fault is not None and fault.kind in (Kind.STALL, Kind.CORRUPT)
        case = Case(conversation, link, short if may_last else LONG, {}, self.sleep)
        case.options = {
            "compression": conversation.compression,
            "open_timeout": 2 * case.limit,
            "close_timeout": case.limit,
        }
        if conversation.tls:
            case.options["ssl"] = self.trusting
        return case

    def end(self, case: Case, started: float, error: BaseException | None) -> None:
        """Note how the client ended."""
        case.seconds = time.monotonic() - started
        case.error = case.error or error
        self.proxy.end(case.link)


@polymorphic
async def converse(ws: WebSocket[Async], case: Case) -> None:
    """Hold the conversation; after an error go on receiving until nothing more comes."""
    case.opened_at = {way: len(data) for way, data in case.link.forwarded.items()}
    try:
        await _speak(ws, case)
    except (ReceiveTimeout, WebSocketClosed) as error:
        case.error = error
        await _receive_rest(ws, case)


async def _speak(ws: WebSocket[Async], case: Case) -> None:
    async def receive() -> None:
        case.received.append(await ws.receive_message(timeout=case.limit))

    await ws.send_text(GREETING)
    await case.let_all_arrive()
    for _ in range(4):
        await receive()
    await ws.ping(timeout=case.limit)
    await ws.send_binary(DATA)
    first, second, last = FRAGMENTS
    await ws.send(Text(first, final=False))
    await ws.send(Text(second, final=False), is_continuation=True)
    await ws.send(Text(last), is_continuation=True)
    await case.let_all_arrive()
    await receive()
    await receive()
    if case.conversation.server_closes:
        await ws.send(Text(PLEASE_CLOSE))
        await case.let_all_arrive()
        await receive()
        await receive()  # the Close, as an error


async def _receive_rest(ws: WebSocket[Async], case: Case) -> None:
    timeouts = 0
    while timeouts < 2:  # One may have passed before the fault.
        try:
            case.received.append(await ws.receive_message(timeout=case.limit))
        except ReceiveTimeout:
            timeouts += 1
        except WebSocketClosed as error:
            if not case.error or not isinstance(case.error, WebSocketClosed):
                case.error = error
            case.has_received_all = True
            return


# The judgement


@dataclass(frozen=True)
class Progress:
    """The content of the bytes that went down."""

    messages: int
    has_close: bool


def progress(case: Case, plain: bytes) -> Progress:
    """Count the whole messages that went down; ``plain`` is what goes down in such a conversation without TLS."""
    down = bytes(case.link.forwarded[Way.DOWN])
    return _count(plain[: _decrypted_size(down[case.link.handshake_end :])] if case.conversation.tls else down)


def _decrypted_size(records: bytes) -> int:
    """Return how many bytes the whole records of application data contain (RFC 8446 §5.2)."""
    size = at = 0
    while at + 5 <= len(records):
        length = int.from_bytes(records[at + 3 : at + 5], "big")
        at += 5 + length
        if at <= len(records):
            size += length - 17  # a tag of 16 bytes, and the type
    return size


def _count(down: bytes) -> Progress:
    head, separator, _ = down.partition(b"\r\n\r\n")
    at = len(head) + len(separator)
    messages, has_close = 0, False
    while at + 2 <= len(down):
        first, size = down[at], down[at + 1]
        at += 2
        if size == 126:
            size = int.from_bytes(down[at : at + 2], "big")
            at += 2
        at += size
        if at > len(down):
            break
        messages += bool(first & 0x80) and first & 0x0F <= 2
        has_close = has_close or first & 0x0F == 8
    return Progress(messages, has_close)


def complaint(case: Case, plain: bytes) -> str | None:
    """Return what is wrong with the end of a case, or None."""
    info, error, fault = case.close_info, case.error, case.link.fault
    if case.link.has_expired:
        return "the conversation hung until the proxy ended it"
    if case.seconds > TOO_LONG:
        return f"the conversation lasted {case.seconds:.1f} seconds: {error!r}"
    if error is not None and not isinstance(error, OpeningFailed | ReceiveTimeout | WebSocketClosed):
        return "".join(traceback.format_exception(error))
    if error is not None and not str(error):
        return f"{type(error).__name__} says nothing"
    if fault is not None and fault.kind is Kind.CORRUPT and case.link.has_fault:
        return None
    if case.received != case.conversation.messages[: len(case.received)]:
        return f"wrong messages were received: {case.received!r:.500}"
    if not case.link.has_fault or (fault is not None and fault.kind is Kind.SPLIT):
        return _incomplete(case)
    if isinstance(error, OpeningFailed):
        return None
    return _loss(case, progress(case, plain)) or _wrong_end(info, fault)


def _incomplete(case: Case) -> str | None:
    info = case.close_info
    code = CLOSE_CODE if case.conversation.server_closes else 1000
    if case.received != case.conversation.messages or info is None or info.code != code or info.sent is None:
        return f"not complete: {len(case.received)} messages, {info}, {case.error!r}"
    return None


def _loss(case: Case, arrived: Progress) -> str | None:
    if len(case.received) < arrived.messages:
        return f"{arrived.messages} messages had arrived, {len(case.received)} were received; {case.error!r}"
    has_close = case.close_info is not None and case.close_info.received is not None
    if has_close != arrived.has_close:
        return f"a Close {'had' if arrived.has_close else 'had not'} arrived: {case.close_info}, {case.error!r}"
    return None


def _wrong_end(info: CloseInfo | None, fault: Fault | None) -> str | None:
    if info is None:
        return "the websocket has not ended"
    if info.received is None:
        is_stalled = fault is not None and fault.kind is Kind.STALL
        if info.cause is not (CloseCause.TIMEOUT if is_stalled else CloseCause.NETWORK):
            return f"a wrong cause: {info!r}"
    return None
