"""A client of picows's native interface: a callback receives, and wakes the task only after the last message."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from benchmarks.cells import Message
from benchmarks.clients import AsyncClient, Target

__all__ = ["connect"]


class Listener(WSListener):
    """The receiver of messages of one type; it keeps the last one."""

    def __init__(self, *, text: bool) -> None:
        self._kind = WSMsgType.TEXT if text else WSMsgType.BINARY
        self._is_text = text
        self._received = self._expected = 0
        self._done: asyncio.Future[None] | None = None
        self._fragments: list[bytes] = []
        self._last: Message = b""
        self.is_full = False
        self._room = asyncio.Event()

    def pause_writing(self) -> None:
        self.is_full = True
        self._room.clear()

    def resume_writing(self) -> None:
        self.is_full = False
        self._room.set()

    async def wait_for_room(self) -> None:
        """Wait until the transport has written enough of its buffer."""
        await self._room.wait()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type is self._kind and frame.fin:
            self._last = frame.get_payload_as_utf8_text() if self._is_text else frame.get_payload_as_bytes()
        elif frame.msg_type in (self._kind, WSMsgType.CONTINUATION):
            self._fragments.append(frame.get_payload_as_bytes())
            if not frame.fin:
                return
            self._last = b"".join(self._fragments)
            self._fragments.clear()
        else:
            return
        self._received += 1
        if self._received == self._expected and self._done is not None:
            self._done.set_result(None)

    async def wait(self, n: int) -> Message:
        """Wait until n more messages are received; return the last one."""
        self._expected += n
        if self._received < self._expected:
            self._done = asyncio.get_running_loop().create_future()
            await self._done
        self._done = None
        return self._last


class Client(AsyncClient):
    """A connection that sends no further while the buffer of its transport is full."""

    def __init__(self, transport: WSTransport, listener: Listener, *, text: bool) -> None:
        self._transport = transport
        self._listener = listener
        self._kind = WSMsgType.TEXT if text else WSMsgType.BINARY

    async def round_trips(self, message: Message, n: int) -> Message:
        answer, send, wait, kind = message, self._transport.send, self._listener.wait, self._kind
        for _ in range(n):
            send(kind, message)
            answer = await wait(1)
        return answer

    async def send(self, message: Message, n: int) -> None:
        send, kind, listener = self._transport.send, self._kind, self._listener
        for _ in range(n):
            send(kind, message)
            if listener.is_full:
                await listener.wait_for_room()

    async def receive(self, n: int) -> Message:
        return await self._listener.wait(n)

    async def send_many(self, message: Message, n: int) -> None:
        await self.send(message, n)

    async def receive_many(self, n: int) -> Message:
        return await self.receive(n)


@asynccontextmanager
async def connect(target: Target) -> AsyncIterator[Client]:
    """Connect, and disconnect after the closing handshake."""
    text = target.cell.text
    transport, listener = await ws_connect(lambda: Listener(text=text), target.url, ssl_context=target.ssl)
    assert isinstance(listener, Listener)
    try:
        yield Client(transport, listener, text=text)
    finally:
        transport.send_close(WSCloseCode.OK)
        transport.disconnect()
        await transport.wait_disconnected()
