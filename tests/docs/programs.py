"""Run the documentation's programs in this process, with the documented addresses replaced.

A program runs as it is. A program for asyncio is also translated to the other flavours, by the rules that the
documentation tells its readers, so the rules are tested too.
"""

from __future__ import annotations

import ast
import importlib.util
import logging
import re
import socket
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

from polysocket import Blocking, WebSocket
from polysocket._opening.accept import accept_session
from polysocket.effects import run
from polysocket.effects.blocking import BlockingEffect

HAS_TRIO = importlib.util.find_spec("trio") is not None

# The rule of docs/guide/start.rst, "In every flavour".
REWRITES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "asyncio": (),
    "trio": (
        (r"\bimport asyncio\n", "import trio\n"),
        (r"\bpolysocket\.asyncio import", "polysocket.trio import"),
        (r"\bAsyncio(?=Backend\b|\b)", "Trio"),
        (r"\basyncio\.Event\b", "trio.Event"),
        (r"\basyncio\.run\(main\(\)\)", "trio.run(main)"),
    ),
    "blocking": (
        (r"\bimport asyncio\n", "import threading\n"),
        (r"\bpolysocket\.asyncio import", "polysocket.blocking import"),
        (r"\bAsyncio(?=Backend\b|\b)", "Blocking"),
        (r"\bAsyncIterator\b", "Iterator"),
        (r"\bAsyncGenerator\[Frame, None\]", "Generator[Frame, None, None]"),
        (r"\bAsyncGenerator\b", "Generator"),
        (r"\basyncio\.Event\b", "threading.Event"),
        (r"\basyncio\.run\(main\(\)\)", "main()"),
        (r"\basync |\bawait ", ""),
    ),
    "threaded": (
        (r"\bimport asyncio\n", "import threading\n"),
        (r"\bpolysocket\.asyncio import", "polysocket.threaded import"),
        (r"\bAsyncio(?=Backend\b|\b)", "Threaded"),
        (r"\bAsyncIterator\b", "Iterator"),
        (r"\bAsyncGenerator\[Frame, None\]", "Generator[Frame, None, None]"),
        (r"\bAsyncGenerator\b", "Generator"),
        (r"\basyncio\.Event\b", "threading.Event"),
        (r"\basyncio\.run\(main\(\)\)", "main()"),
    ),
}
FLAVOURS = tuple(flavour for flavour in REWRITES if flavour != "trio" or HAS_TRIO)


def rewritten(source: str, flavour: str) -> str:
    """Translate a program for asyncio to another flavour."""
    for old, new in REWRITES[flavour]:
        source = re.sub(old, new, source)
    return ast.unparse(WithResults().visit(ast.parse(source))) if flavour == "threaded" else source


class WithResults(ast.NodeTransformer):
    """A transformer that removes ``async`` and ``await``, and adds ``.result()`` to awaited calls and ``connect``."""

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        self.generic_visit(node)
        return ast.copy_location(ast.FunctionDef(**dict(ast.iter_fields(node))), node)

    def visit_AsyncFor(self, node: ast.AsyncFor) -> ast.AST:
        self.generic_visit(node)
        return ast.copy_location(ast.For(**dict(ast.iter_fields(node))), node)

    def visit_AsyncWith(self, node: ast.AsyncWith) -> ast.AST:
        for item in node.items:
            if ast.unparse(item.context_expr).startswith("connect("):
                item.context_expr = result_of(item.context_expr)
        self.generic_visit(node)
        return ast.copy_location(ast.With(**dict(ast.iter_fields(node))), node)

    def visit_Await(self, node: ast.Await) -> ast.AST:
        self.generic_visit(node)
        is_event = isinstance(node.value, ast.Call) and ast.unparse(node.value.func).endswith(".wait")
        return node.value if is_event else result_of(node.value)


def result_of(call: ast.expr) -> ast.expr:
    return ast.Call(ast.Attribute(call, "result", ast.Load()), [], [])


def execute(source: str, name: str, url: str, replacements: Mapping[str, str]) -> None:
    """Run a program with the server's URL instead of the documented one."""
    for old, new in replacements.items():
        assert old in source
        source = source.replace(old, new)
    source = re.sub(r"wss?://(?:\w+\.example\.com|localhost:8765)/(?!chat\?)", url, source)
    with logging_of_its_own():
        exec(compile(source, name, "exec"), {"__name__": "__main__"})


@contextmanager
def logging_of_its_own() -> Iterator[None]:
    """Start without any logging configuration, as a program does."""
    root = logging.getLogger()
    handlers, levels = root.handlers, [(each, each.level) for each in (root, logging.getLogger("polysocket"))]
    root.handlers = []
    try:
        yield
    finally:
        root.handlers = handlers
        for logger, level in levels:
            logger.setLevel(level)


@contextmanager
def answering(*handles: Callable[[socket.socket], None]) -> Iterator[str]:
    """Run a server that takes one connection after the other, one for each function, and return its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        listener.settimeout(10)

        def serve() -> None:
            for handle in handles:
                with listener.accept()[0] as sock:
                    handle(sock)

        served = pool.submit(serve)
        yield f"ws://127.0.0.1:{listener.getsockname()[1]}/"
        served.result()


@contextmanager
def scripted(*scripts: Callable[[WebSocket[Blocking]], None]) -> Iterator[str]:
    """Run a WebSocket server that plays a script on each connection and closes it; return its URL."""
    effect = BlockingEffect()

    def handle(script: Callable[[WebSocket[Blocking]], None], sock: socket.socket) -> None:
        stream = run(effect.adopt(sock.dup()))
        ws: WebSocket[Blocking] = WebSocket(run(accept_session(effect, stream)), effect)
        with ws:
            script(ws)

    with answering(*(partial(handle, script) for script in scripts)) as url:
        yield url
