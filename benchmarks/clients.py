"""The work on a connection of any library: loops over its calls, asynchronous or blocking."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from benchmarks.cells import MANY, Cell, Message

__all__ = ["AsyncClient", "BlockingClient", "Target"]

Messages: TypeAlias = list[Message]


@dataclass(frozen=True, slots=True)
class Target:
    """The server's URL for a cell, and the file with the authority that its TLS certificate is signed by."""

    cell: Cell
    url: str
    authority: str

    @property
    def ssl(self) -> Any:
        """The TLS settings; None without TLS."""
        if not self.cell.is_tls:
            return None
        import ssl

        return ssl.create_default_context(cafile=self.authority)


class AsyncClient:
    """A connection of an asynchronous library."""

    def __init__(
        self,
        send: Callable[[Any], Awaitable[object]],
        receive: Callable[[], Awaitable[Any]],
        send_many: Callable[[Messages], Awaitable[object]] | None = None,
        receive_many: Callable[..., Awaitable[Messages]] | None = None,
    ) -> None:
        self._send = send
        self._receive = receive
        self._send_many = send_many
        self._receive_many = receive_many

    async def work(self, cell: Cell, n: int) -> Message:
        """Do the cell's work for n messages; return the last one received."""
        message, request = cell.typed(cell.message), cell.typed(cell.request(n))
        if cell.work == "round_trip":
            return await self.round_trips(message, n)
        await self.send(request, 1)
        match cell.work:
            case "receive":
                return await self.receive(n)
            case "receive_many":
                return await self.receive_many(n)
            case "send":
                await self.send(message, n)
            case "send_many":
                await self.send_many(message, n)
        return await self.receive(1)

    async def round_trips(self, message: Message, n: int) -> Message:
        """Send and receive in turns."""
        answer, send, receive = message, self._send, self._receive
        for _ in range(n):
            await send(message)
            answer = await receive()
        return answer

    async def send(self, message: Message, n: int) -> None:
        """Send one by one."""
        send = self._send
        for _ in range(n):
            await send(message)

    async def receive(self, n: int) -> Message:
        """Receive one by one."""
        answer, receive = b"", self._receive
        for _ in range(n):
            answer = await receive()
        return answer

    async def send_many(self, message: Message, n: int) -> None:
        """Send in batches if the library has them."""
        if self._send_many is None:
            await self.send(message, n)
        else:
            messages = [message] * MANY
            for left in range(n, 0, -MANY):
                await self._send_many(messages if left >= MANY else messages[:left])

    async def receive_many(self, n: int) -> Message:
        """Receive in batches if the library has them."""
        if self._receive_many is None:
            return await self.receive(n)
        batch: Messages = []
        while n:
            batch = await self._receive_many(max=min(n, MANY))
            n -= len(batch)
        return batch[-1]


class BlockingClient:
    """A connection of a blocking library; its methods are those of :class:`AsyncClient`."""

    def __init__(
        self,
        send: Callable[[Any], object],
        receive: Callable[[], Any],
        send_many: Callable[[Messages], object] | None = None,
        receive_many: Callable[..., Messages] | None = None,
    ) -> None:
        self._send = send
        self._receive = receive
        self._send_many = send_many
        self._receive_many = receive_many

    def work(self, cell: Cell, n: int) -> Message:
        message, request = cell.typed(cell.message), cell.typed(cell.request(n))
        if cell.work == "round_trip":
            return self.round_trips(message, n)
        self.send(request, 1)
        match cell.work:
            case "receive":
                return self.receive(n)
            case "receive_many":
                return self.receive_many(n)
            case "send":
                self.send(message, n)
            case "send_many":
                self.send_many(message, n)
        return self.receive(1)

    def round_trips(self, message: Message, n: int) -> Message:
        answer, send, receive = message, self._send, self._receive
        for _ in range(n):
            send(message)
            answer = receive()
        return answer

    def send(self, message: Message, n: int) -> None:
        send = self._send
        for _ in range(n):
            send(message)

    def receive(self, n: int) -> Message:
        answer, receive = b"", self._receive
        for _ in range(n):
            answer = receive()
        return answer

    def send_many(self, message: Message, n: int) -> None:
        if self._send_many is None:
            self.send(message, n)
        else:
            messages = [message] * MANY
            for left in range(n, 0, -MANY):
                self._send_many(messages if left >= MANY else messages[:left])

    def receive_many(self, n: int) -> Message:
        if self._receive_many is None:
            return self.receive(n)
        batch: Messages = []
        while n:
            batch = self._receive_many(max=min(n, MANY))
            n -= len(batch)
        return batch[-1]
