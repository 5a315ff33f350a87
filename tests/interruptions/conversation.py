"""The conversation that the machines interrupt, written once for all flavours, and the check of its outcome.

A conversation is a generator of calls: a driver makes each call, awaits it if its flavour needs that, and sends the
result back. So a driver can count what happens inside the calls, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, NamedTuple

from polysocket import Binary, Close, Deflate, InvalidFrame, Ping, Pong, Text, WebSocketClosed
from tests.interruptions.peer import CUT, Report, checked, parts, sealed

__all__ = ["BLOCK_LIMIT", "VARIANTS", "Calls", "Exchange", "Fault", "Variant", "conversation", "options", "recovery"]

CLOSE_TIMEOUT = 10.0  # seconds, in every conversation: so long that a closing which waits for it is seen
BLOCK_LIMIT = 8.0  # seconds for one case, on a busy machine: less than the close timeout
LARGE = 40_000  # words, about 300 kB: more than the network takes at once from a sender whose peer has a small buffer

Calls = Generator[Callable[[], Any], Any, None]
"""Calls to be made, whose results are sent back."""


class Fault(Exception):
    """A broken promise."""


class Variant(NamedTuple):
    """The transport, and whether messages are compressed."""

    transport: str
    compression: str

    @property
    def ends_with_close(self) -> bool:
        """Whether ``close()`` ends the conversation; if not, the end of the ``with`` block does."""
        return self.compression == "plain"


VARIANTS = [Variant(transport, compression) for transport in ("tcp", "tls") for compression in ("plain", "deflate")]


def options(variant: Variant, ssl: Any) -> dict[str, Any]:
    """Return the options of ``connect``."""
    compression = Deflate() if variant.compression == "deflate" else None
    tls = {"ssl": ssl} if variant.transport == "tls" else {}
    return {"compression": compression, "close_timeout": CLOSE_TIMEOUT, "open_timeout": 30, **tls}


class Exchange:
    """The messages of one conversation that this side has sent and received; it checks what it receives."""

    def __init__(self, pause: str = "") -> None:
        self.pause = pause
        """The word to the peer before it is to answer: a pause makes this side wait for the answer."""
        self.ws: Any = None
        self.is_closing = False
        self.number = 0  # of the latest message that this side has sent, or has tried to send
        self.sent: list[int] = []  # the numbers of the messages whose sending has returned
        self._received = 0
        self.is_receiving = False
        self.may_lack = False
        """Whether the result of the latest receive may be missing, a message or a part of one."""
        self._begun = ""  # of a message whose fragments are received one by one
        self.is_synchronous = False  # once the answer to the latest ``sync`` has arrived

    def message(self, body: str) -> str:
        """Return the next message."""
        self.number += 1
        return sealed(self.number, body)

    def sending(self, body: str, *, binary: bool = False) -> Calls:
        """Send a message of its own."""
        message = self.message(body)
        if binary:
            yield lambda: self.ws.send_binary(message.encode())
        else:
            yield lambda: self.ws.send_text(message)
        self.sent.append(self.number)

    def sending_fragments(self) -> Calls:
        """Send a message in fragments."""
        self.number += 1
        first, second, third = parts(self.number)
        yield lambda: self.ws.send(Text(first, final=False))
        yield lambda: self.ws.send(Text(second, final=False), is_continuation=True)
        yield lambda: self.ws.send(Text(third), is_continuation=True)
        self.sent.append(self.number)

    def finishing_fragments(self) -> Calls:
        """End a message in fragments, if an interruption has left one unfinished."""
        try:
            yield lambda: self.ws.send(Text(CUT), is_continuation=True)
        except InvalidFrame:
            return

    def take(self, received: Any) -> None:
        """Take the result of one of the ``receive`` methods."""
        self.is_receiving = False
        if isinstance(received, Ping | Pong):
            return
        if isinstance(received, Close):
            raise WebSocketClosed(self.ws.close_info)
        final = True
        if isinstance(received, Text | Binary):
            final, received = received.final, received.payload
        text = self._begun + (received if isinstance(received, str) else received.decode())
        self._begun = "" if final else text
        if not final:
            return
        try:
            number, body = checked(text)
        except ValueError as error:
            if self.may_lack:
                return
            raise Fault(f"a torn message was received: {text[:200]!r}") from error
        self._received += 1
        if self.may_lack and self._received < number <= self._received + 2:
            self._received = number
        self.may_lack = False
        if number != self._received:
            raise Fault(f"message {number} was received instead of {self._received}")
        self.is_synchronous = body.startswith(f"sync{self.number}.")

    def receiving(self, receive: Callable[[], Any]) -> Calls:
        """Call one of the ``receive`` methods."""
        self.is_receiving = True
        self.take((yield receive))

    def synchronizing(self) -> Calls:
        """Ask the peer for an answer, and receive all that comes before it."""
        yield from self.sending(f"{self.pause}give sync{self.number + 1}.")
        while not self.is_synchronous:
            yield from self.receiving(self.ws.receive_message)

    def check(self, report: Report, *, must_be_whole: bool) -> None:
        """Compare with what the peer says: all that was sent must have arrived if the websocket has ended as usual."""
        if report.faults:
            raise Fault(f"the peer reports {report.faults}")
        if must_be_whole and report.code is None:
            raise Fault("the peer has received no Close")
        if must_be_whole and (lost := set(self.sent) - set(report.numbers)):
            raise Fault(f"the peer has not received the messages {lost}")


def conversation(exchange: Exchange, variant: Variant) -> Calls:
    """Use each kind of call at least once, from the first message to the closing."""
    ws, x = exchange.ws, exchange
    yield from x.sending("small")
    yield from x.sending(x.pause + "give text give binary give ping", binary=True)
    yield from x.receiving(ws.receive_text)
    yield from x.receiving(ws.receive_binary)
    yield from x.receiving(ws.receive)  # the Ping, after which the peer sends its text
    yield from x.receiving(lambda: ws.receive(timeout=BLOCK_LIMIT))
    yield from x.sending_fragments()
    yield from x.sending(x.pause + "give fragments give large give fragments " + f"{x.number} word " * LARGE)
    for _ in range(3):
        yield from x.receiving(ws.receive_data_frame)
    yield from x.receiving(lambda: ws.receive_message(timeout=BLOCK_LIMIT))
    yield lambda: ws.ping(timeout=BLOCK_LIMIT)
    yield from x.receiving(ws.receive_message)
    yield lambda: ws.ping(b"payload")
    yield ws.pong
    yield from x.sending(x.pause + "give text")
    yield from x.receiving(lambda: ws.either_close(ws.receive_message))
    yield from x.sending(x.pause + "give text " + "word " * LARGE, binary=True)
    if variant.ends_with_close:
        x.is_closing = True
        yield ws.close
    else:
        yield from x.synchronizing()


def recovery(exchange: Exchange) -> Calls:
    """Use the websocket after an interruption: what is asked for must arrive, and nothing that came before is lost."""
    yield from exchange.finishing_fragments()
    yield from exchange.synchronizing()
    yield exchange.ws.ping
    yield from exchange.sending("after the interruption")
