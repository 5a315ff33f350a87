"""The peer of the conversations, made with ``websockets``, in a process of its own: it prints its two ports.

It ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
import sys

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from tests.faults.script import CLOSE_CODE, CLOSE_REASON, FAREWELL, GREETING, PLEASE_CLOSE, burst

silent = logging.getLogger("tests.faults.server")
silent.addHandler(logging.NullHandler())
silent.propagate = False  # The faults are in the conversations; the log of websockets is not under test.


async def converse(ws: ServerConnection) -> None:
    """Echo each message; answer the first with a burst of messages, and a plea with a closing."""
    try:
        async for message in ws:
            if message == PLEASE_CLOSE:
                await ws.send(FAREWELL)
                await ws.close(CLOSE_CODE, CLOSE_REASON)
                return
            await ws.send(message)
            if message == GREETING:
                text, fragments, data = burst()
                await ws.send(text)
                await ws.send(fragments)
                await ws.ping(b"a ping")
                await ws.send(data)
    except ConnectionClosed:
        pass


async def main(certificate: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.num_tickets = 0  # All records after the handshake are then the conversation's.
    async with (
        serve(converse, "127.0.0.1", 0, logger=silent, ping_interval=None, close_timeout=1) as plain,
        serve(converse, "127.0.0.1", 0, logger=silent, ping_interval=None, close_timeout=1, ssl=context) as tls,
    ):
        ports = [next(iter(server.sockets)).getsockname()[1] for server in (plain, tls)]
        print(json.dumps(ports), flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
