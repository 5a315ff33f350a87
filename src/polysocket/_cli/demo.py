"""``polysocket demo``: one program in three flavours, against an echo server on this machine."""

from __future__ import annotations

import asyncio
import importlib.util

from polysocket import Async, Asyncio, Frame, Ping, Text, Trio, WebSocket, blocking, polymorphic
from polysocket import asyncio as polysocket_asyncio
from polysocket.testing import EchoServer
from polysocket.websocket import ConnectCall

__all__ = ["demo"]


@polymorphic
async def conversation(ws: WebSocket[Async]) -> None:
    """Exchange a text, a message in two frames with a Ping between them, and bytes; print each step."""
    extensions = ", ".join(ws.response.extensions) or "no extensions"
    print(f"  open      {ws.response.status_line}; {extensions}")

    await ws.send_text("Hello! ¡Hola! 你好!")
    print("  sent      text 'Hello! ¡Hola! 你好!'")
    print(f"  received  text {await ws.receive_text()!r}")

    two_frames: list[tuple[Frame, bool]] = [
        (Text("one message, ", final=False), False),
        (Ping(b"?"), False),
        (Text("two frames"), True),
    ]
    for frame, is_continuation in two_frames:
        await ws.send(frame, is_continuation)
        print(f"  sent      {frame}{', a continuation' if is_continuation else ''}")
    print(f"  received  {await ws.receive()}")
    print(f"  received  {await ws.receive()}")

    await ws.send_binary(bytes(100_000))
    print("  sent      100,000 bytes")
    print(f"  received  {len(await ws.receive_binary()):,} bytes")

    print(f"  pinged    {await ws.ping() * 1e6:,.0f} µs round trip")
    await ws.close(1000, "done")
    print(f"  closed    {ws.close_info}")


async def open_and_converse(call: ConnectCall[WebSocket[Asyncio]] | ConnectCall[WebSocket[Trio]]) -> None:
    """Run the conversation in an asynchronous flavour."""
    async with call as ws:
        await conversation(ws)


def demo() -> None:
    """Run the conversation in each flavour."""
    with EchoServer() as server:
        print(f"An echo server listens on {server.url}. One program talks to it in each flavour.")

        print("\nblocking sockets")
        with blocking.connect(server.url) as ws:
            conversation(ws)

        print("\nasyncio")
        asyncio.run(open_and_converse(polysocket_asyncio.connect(server.url)))

        print("\ntrio")
        if importlib.util.find_spec("trio") is None:
            print("  not installed: pip install 'polysocket[trio]'")
            return
        import trio

        from polysocket import trio as polysocket_trio

        trio.run(open_and_converse, polysocket_trio.connect(server.url))
