"""A TCP proxy with a thread and a selector of its own, which injects one fault into each conversation.

It uses no code of polysocket. Each conversation has a listening port of its own, a :class:`Link`.
"""

from __future__ import annotations

import contextlib
import enum
import queue
import selectors
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

__all__ = ["Fault", "FaultProxy", "Kind", "Link", "Way"]

PATIENCE = 30  # seconds after which the proxy ends a conversation: far more than its own time limits
PAUSE = 0.001  # seconds before each byte of a split, in which the receiver can read what came before
PIECES = 16  # bytes that a split sends one at a time, longer than each header; a split at byte 0 goes on to the end
RESET = struct.pack("ii", 1, 0)  # SO_LINGER for which close() sends RST


class Way(enum.Enum):
    """The direction of bytes."""

    UP = "up"  # from the client to the server
    DOWN = "down"


class Kind(enum.Enum):
    """The kind of a fault."""

    CUT = "cut"  # both connections are closed (FIN)
    RESET = "reset"  # both connections are reset (RST)
    STALL = "stall"  # nothing more is forwarded, forever
    HALF_CLOSE = "half_close"  # one direction ends (FIN), the other one goes on
    SPLIT = "split"  # the bytes come one at a time
    CORRUPT = "corrupt"  # one bit of the next byte is flipped


@dataclass(frozen=True)
class Fault:
    """A fault after the byte of this number."""

    kind: Kind
    way: Way
    byte: int

    def __str__(self) -> str:
        return f"{self.kind.value}-{self.way.value}-{self.byte}"

    @classmethod
    def parse(cls, text: str) -> Fault:
        kind, way, byte = text.split("-")
        return cls(Kind(kind), Way(way), int(byte))


class Link:
    """One conversation: a listening port for its client, and the two connections."""

    def __init__(self, target: int, fault: Fault | None) -> None:
        self.fault = fault
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.target = target
        self.born = time.monotonic()
        self.forwarded: dict[Way, bytearray] = {way: bytearray() for way in Way}
        self.handshake_end = 0  # how much had gone down when the client had sent one TLS record
        self.has_fault = False  # the fault was injected
        self.has_expired = False  # the proxy has ended the conversation after its patience
        self.client: socket.socket | None = None
        self.server: socket.socket | None = None
        self._held = bytearray()  # what a split has not sent yet
        self._pieces = 0
        self._next_piece = 0.0
        self._is_corrupting = False
        self._has_held_end = False
        self._ended: set[Way] = set()

    def accept(self) -> bool:
        """Accept the client and connect to the server."""
        self.client, _ = self.listener.accept()
        self.server = socket.create_connection(("127.0.0.1", self.target))
        self.listener.close()
        for sock in (self.client, self.server):
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.fault is not None and self.fault.byte == 0:
            self._inject(b"")
        return self.is_open

    @property
    def is_open(self) -> bool:
        """Whether the proxy still forwards."""
        is_stalled = self.has_fault and self.fault is not None and self.fault.kind is Kind.STALL
        return self.client is not None and self.server is not None and not is_stalled

    @property
    def is_splitting(self) -> bool:
        return bool(self._held)

    def _target_of(self, way: Way) -> socket.socket:
        sock = self.client if way is Way.DOWN else self.server
        assert sock is not None
        return sock

    def take(self, way: Way) -> bool:
        """Forward what can be read from one side; return False once that side has ended."""
        source = self.server if way is Way.DOWN else self.client
        assert source is not None
        try:
            data = source.recv(1 << 16)
        except BlockingIOError:
            return True
        except OSError:
            self.close(RESET)
            return False
        if way not in self._ended:  # else its target was told that nothing more comes
            self._forward(way, data)
        return bool(data)

    def _forward(self, way: Way, data: bytes) -> None:
        fault = self.fault
        if fault is not None and way is fault.way:
            if not self.has_fault and len(self.forwarded[way]) + len(data) >= fault.byte:
                room = fault.byte - len(self.forwarded[way])
                if self._send(way, data[:room]):
                    self._inject(data[room:])
                return
            if self._pieces:
                self._held += data
                self._has_held_end = not data
            if self._held:
                return
            data = self._corrupted(data)
        if data:
            self._send(way, data)
        else:
            self._end(way)

    def _corrupted(self, data: bytes) -> bytes:
        """Flip a bit of the first byte, if that is due."""
        if not (self._is_corrupting and data):
            return data
        assert self.fault is not None
        self._is_corrupting = False
        return bytes([data[0] ^ 1 << self.fault.byte % 8]) + data[1:]

    def _send(self, way: Way, data: bytes) -> bool:
        if way is Way.UP and not self.handshake_end and self.forwarded[Way.DOWN]:
            self.handshake_end = len(self.forwarded[Way.DOWN])
        before = len(self.forwarded[way])
        self.forwarded[way] += data  # before the receiver can look at it
        try:
            sent = self._target_of(way).send(data) if data else 0
        except OSError:  # The target has gone; its source is told so.
            del self.forwarded[way][before:]
            self.close(RESET)
            return False
        assert sent == len(data), "the conversations are smaller than the system's buffers"
        return True

    def _end(self, way: Way) -> None:
        self._ended.add(way)
        with contextlib.suppress(OSError):
            self._target_of(way).shutdown(socket.SHUT_WR)
        if len(self._ended) == len(Way):
            self.close()

    def _inject(self, rest: bytes) -> None:
        assert self.fault is not None
        self.has_fault = True
        match self.fault.kind:
            case Kind.CUT:
                self.close()
            case Kind.RESET:
                self.close(RESET)
            case Kind.STALL:
                pass
            case Kind.HALF_CLOSE:
                self._end(self.fault.way)
            case Kind.SPLIT:
                self._held += rest
                self._pieces = PIECES if self.fault.byte else 1 << 30
                self._next_piece = time.monotonic() + PAUSE
            case Kind.CORRUPT:
                self._is_corrupting = True
                self._send(self.fault.way, self._corrupted(rest))

    def send_piece(self) -> None:
        """Send the next byte of a split."""
        assert self.fault is not None
        if not self._held or not self.is_open or time.monotonic() < self._next_piece:
            return
        self._pieces -= 1
        size = 1 if self._pieces else len(self._held)
        if self._send(self.fault.way, bytes(self._held[:size])):
            del self._held[:size]
            self._next_piece = time.monotonic() + PAUSE
            if self._has_held_end and not self._held:
                self._end(self.fault.way)

    def close(self, linger: bytes | None = None) -> None:
        """Close both connections."""
        self.listener.close()
        for sock in (self.client, self.server):
            if sock is None:
                continue
            if linger is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            else:
                with contextlib.suppress(OSError):  # Bytes that are not read would make it a reset.
                    while sock.recv(1 << 16):
                        pass
            sock.close()
        self.client = self.server = None
        self._held.clear()


class FaultProxy:
    """The proxy, in a thread during a ``with`` block."""

    def __init__(self) -> None:
        self._orders: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._selector = selectors.DefaultSelector()
        self._sleeping, self._wake = socket.socketpair()
        self._links: dict[Link, list[socket.socket]] = {}
        self._is_running = True
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="the fault proxy")

    def __enter__(self) -> Self:
        self._selector.register(self._sleeping, selectors.EVENT_READ)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._order(self._stop)
        self._thread.join()
        for link in list(self._links):
            link.close(RESET)
        self._selector.close()
        self._sleeping.close()
        self._wake.close()
        if self._error is not None:
            raise self._error

    def link(self, target: int, fault: Fault | None) -> Link:
        """Listen for the client of one conversation with the server on port ``target``."""
        link = Link(target, fault)
        self._order(lambda: self._watch(link, link.listener))
        return link

    def end(self, link: Link) -> None:
        """End the conversation, whose client has finished."""
        self._order(lambda: self._finish(link))

    def _order(self, order: Callable[[], None]) -> None:
        self._orders.put(order)
        self._wake.send(b"\0")

    def _stop(self) -> None:
        self._is_running = False

    def _watch(self, link: Link, *sockets: socket.socket) -> None:
        self._links[link] = list(sockets)
        for sock in sockets:
            self._selector.register(sock, selectors.EVENT_READ, link)

    def _forget(self, link: Link) -> None:
        """Stop watching the sockets, some of which may be closed already."""
        for sock in self._links.get(link, ()):
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(sock)
        self._links[link] = []

    def _finish(self, link: Link) -> None:
        self._forget(link)
        link.close(RESET)
        self._links.pop(link, None)

    def _run(self) -> None:
        try:
            while self._is_running:
                self._turn()
        except BaseException as error:  # noqa: BLE001 - raised at the end of the block
            self._error = error

    def _turn(self) -> None:
        splitting = [link for link in self._links if link.is_splitting]
        for key, _ in self._selector.select(PAUSE if splitting else 1):
            if key.data is None:
                self._sleeping.recv(1 << 16)
                continue
            link: Link = key.data
            if key.fileobj not in self._links.get(link, ()):
                continue  # This turn has ended it.
            if key.fileobj is link.listener:
                self._forget(link)
                if link.accept():
                    assert link.client is not None
                    assert link.server is not None
                    self._watch(link, link.client, link.server)
                continue
            if not link.take(Way.UP if key.fileobj is link.client else Way.DOWN) and link.is_open:
                self._selector.unregister(key.fileobj)
                self._links[link] = [sock for sock in self._links[link] if sock is not key.fileobj]
            if not link.is_open:
                self._forget(link)
        for link in splitting:
            link.send_piece()
            if not link.is_open:
                self._forget(link)
        while not self._orders.empty():
            self._orders.get()()
        for link in [link for link in self._links if time.monotonic() - link.born > PATIENCE]:
            link.has_expired = True
            self._finish(link)
