"""How the documentation's programs are run: in this process, with the documented addresses replaced.

A program is run as it stands. One that is written for asyncio is also rewritten for the other flavours, in the way that
the documentation tells its readers: so this proves that advice as well.
"""

from __future__ import annotations

import importlib.util
import re
import socket
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from polysocket import Blocking, Request, WebSocket, basic_request
from polysocket.blocking import BlockingEffect
from polysocket.effect import run
from polysocket.opening import accept_websocket

HAS_TRIO = importlib.util.find_spec("trio") is not None

# The rule of docs/index.rst, "In every flavour".
REWRITES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "asyncio": (),
    "trio": (
        ("import asyncio\n", "import trio\n"),
        ("from polysocket.asyncio import", "from polysocket.trio import"),
        ("asyncio.run(main())", "trio.run(main)"),
    ),
    "blocking": (
        ("import asyncio\n", ""),
        ("from polysocket.asyncio import", "from polysocket.blocking import"),
        ("asyncio.run(main())", "main()"),
        ("async ", ""),
        ("await ", ""),
    ),
}
FLAVOURS = tuple(flavour for flavour in REWRITES if flavour != "trio" or HAS_TRIO)


def rewritten(source: str, flavour: str) -> str:
    """A program for asyncio, as it reads in another flavour."""
    for old, new in REWRITES[flavour]:
        source = source.replace(old, new)
    return source


def execute(source: str, name: str, url: str, replacements: Mapping[str, str]) -> None:
    """Run a program with the server's URL in the place of the documented one."""
    for old, new in replacements.items():
        assert old in source
        source = source.replace(old, new)
    source = re.sub(r"wss?://\w+\.example\.com/(?!chat\?)", url, source)
    exec(compile(source, name, "exec"), {"__name__": "__main__"})


@contextmanager
def answering(handle: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that takes one connection; its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        listener.settimeout(10)

        def serve() -> None:
            with listener.accept()[0] as sock:
                handle(sock)

        served = pool.submit(serve)
        yield f"ws://127.0.0.1:{listener.getsockname()[1]}/"
        served.result()


@contextmanager
def scripted(script: Callable[[WebSocket[Blocking]], None], limits: Request = basic_request) -> Iterator[str]:
    """A WebSocket server that takes one connection, plays a script on it, and closes it; its URL."""
    effect = BlockingEffect()

    def handle(sock: socket.socket) -> None:
        link = run(effect.adopt(sock.dup()))
        ws: WebSocket[Blocking] = run(accept_websocket(effect, link, limits))
        with ws:
            script(ws)

    with answering(handle) as url:
        yield url
