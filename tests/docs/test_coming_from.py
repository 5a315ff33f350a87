"""The pages for users of other libraries have every public name of the library, and only names that polysocket has."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from importlib.metadata import version
from importlib.util import find_spec
from types import ModuleType
from typing import Any, NamedTuple

import pytest

import polysocket
from polysocket import blocking
from tests.docs.pages import page


class Row(NamedTuple):
    """A row of a table: the literals of both columns."""

    theirs: list[str]
    ours: list[str]


def rows_of(name: str) -> list[Row]:
    """Return the rows of the tables of a page."""
    text = page(name)
    cells = [tuple(line.split(" | ", 1)) for line in re.findall(r"^   (``.* \| .*)$", text, re.MULTILINE)]
    if ruler := re.search(r"^(=+ +)=+\n", text, re.MULTILINE):
        begin = len(ruler[1])
        table = text[ruler.end() :].rpartition(f"\n{ruler[0]}")[0]
        cells += [(line[:begin], line[begin:]) for line in table.splitlines() if line.startswith("``")]
    return [Row(literals(theirs), literals(ours)) for theirs, ours in cells]


def literals(cell: str) -> list[str]:
    return re.findall(r"``(.+?)``", cell)


# Names of the peers


def public(owner: object) -> set[str]:
    return {name for name in dir(owner) if not name.startswith("_")}


def parameters(*functions: Callable[..., Any]) -> set[str]:
    return {
        name
        for function in functions
        for name, each in inspect.signature(function).parameters.items()
        if name != "self" and each.kind is not each.VAR_KEYWORD
    }


def names_of_websockets() -> set[str]:
    import websockets
    from websockets.asyncio.client import connect
    from websockets.sync.client import connect as sync_connect

    methods = {"recv", "recv_streaming", "send", "close", "wait_closed", "ping", "pong", "id", "local_address"}
    attributes = {"remote_address", "latency", "state", "request", "response", "subprotocol", "close_code"}
    names = methods | attributes | set(websockets.__all__) | parameters(connect.__init__, sync_connect)
    return names - {"ws"}


def names_of_websocket_client() -> set[str]:
    import websocket
    from websocket import WebSocket, WebSocketApp

    documented = inspect.getdoc(WebSocket.connect) or ""
    options = set(re.findall(r"^(\w+): ", documented, re.MULTILINE))
    names = {name for name in public(websocket) if not isinstance(getattr(websocket, name), ModuleType)}
    statuses = {name for name in names if name.startswith("STATUS_")}
    callbacks = parameters(WebSocketApp.__init__, WebSocketApp.run_forever)
    return (
        (names - statuses - {"Any", "Optional"})
        | {"STATUS_NORMAL"}
        | public(WebSocket)
        | public(WebSocketApp)
        | (parameters(WebSocket.__init__) - {"_"})
        | options
        | callbacks
    )


def names_of_aiohttp() -> set[str]:
    import aiohttp

    names = {name for name in aiohttp.__all__ if name.startswith(("WS", "WebSocket", "ClientWS", "ClientWebSocket"))}
    return names | public(aiohttp.ClientWebSocketResponse) | parameters(aiohttp.ClientSession.ws_connect)


def names_of_httpx_ws() -> set[str]:
    import httpx_ws

    sessions = public(httpx_ws.WebSocketSession) | public(httpx_ws.AsyncWebSocketSession)
    return set(httpx_ws.__all__) | sessions | parameters(httpx_ws.connect_ws, httpx_ws.aconnect_ws)


def names_of_trio_websocket() -> set[str]:
    import trio_websocket

    opening = (trio_websocket.open_websocket, trio_websocket.open_websocket_url, trio_websocket.wrap_client_stream)
    names = {name for name in public(trio_websocket) if not isinstance(getattr(trio_websocket, name), ModuleType)}
    return names | public(trio_websocket.WebSocketConnection) | parameters(*opening)


PEERS: dict[str, tuple[str, Callable[[], set[str]]]] = {
    "from_websockets": ("websockets", names_of_websockets),
    "from_websocket_client": ("websocket-client", names_of_websocket_client),
    "from_aiohttp": ("aiohttp", names_of_aiohttp),
    "from_httpx_ws": ("httpx-ws", names_of_httpx_ws),
    "from_trio_websocket": ("trio-websocket", names_of_trio_websocket),
}
MODULES = {"websocket-client": "websocket"}


@pytest.mark.parametrize("name", PEERS)
def test_a_page_has_every_public_name_of_the_library(name: str) -> None:
    peer, names = PEERS[name]
    if find_spec(MODULES.get(peer, peer.replace("-", "_"))) is None:
        pytest.skip(f"{peer} is not installed")
    if f"{peer} {version(peer)}" not in page(name):
        pytest.skip(f"the page is about another version than {peer} {version(peer)}")
    there = {word for row in rows_of(name) for literal in row.theirs for word in re.findall(r"\w+", literal)}
    assert names() - {"url", "uri"} <= there


# Names of polysocket


def values_in(name: str) -> Iterator[str]:
    for row in rows_of(name):
        yield from row.ours


OPTIONS = set(inspect.signature(blocking.connect).parameters) | set(inspect.signature(blocking.reconnect).parameters)
KEYWORDS = OPTIONS | {"timeout"}
# Names of the standard library, of the examples, and attributes of an attribute.
OTHERS = {
    "dumps",
    "message",
    "str",
    "bytes",
    "int",
    "no_proxy",
    "headers",
    "status",
    "logging",
    "isinstance",
    "get_all",
}
ARGUMENTS = {"context", "url", "uri", "path", "frame", "value", "code", "reason", "ws", "backend"}


def nodes_of(literal: str) -> list[ast.AST]:
    """Parse a literal: an expression, a statement, an argument, or the head of a loop."""
    source = literal.replace("…", "...").removesuffix("=")
    for form in ("{}", "connect({})", "async def program():\n    {}: pass", "async def program():\n    {}", "{}: pass"):
        try:
            return list(ast.walk(ast.parse(form.format(source))))
        except SyntaxError:
            continue
    raise AssertionError(f"this is no Python: {literal}")


def unknown_in(literal: str) -> set[str]:
    """Return the names of polysocket in a literal that polysocket does not have."""
    unknown = set[str]()
    for node in nodes_of(literal):
        match node:
            case ast.ImportFrom(module=str(module), names=names):
                unknown |= {each.name for each in names if not hasattr(importlib.import_module(module), each.name)}
            case ast.Attribute(value=ast.Name(id="ws"), attr=name):
                unknown |= {name} - public(polysocket.WebSocket)
            case ast.Attribute(value=ast.Name(id="backend"), attr=name):
                unknown |= {name} - public(polysocket.Backend)
            case ast.Attribute(value=ast.Name(id=owner), attr=name) if owner in polysocket.__all__:
                unknown |= {name} - public(getattr(polysocket, owner))
            case ast.keyword(arg=str(name)):
                unknown |= {name} - KEYWORDS
            case ast.Assign(targets=[ast.Name(id=name)]):
                unknown |= {name} - KEYWORDS
            case ast.Name(id=name, ctx=ast.Load()):
                known = {
                    *polysocket.__all__,
                    *public(polysocket.WebSocket),
                    *public(blocking),
                    *OPTIONS,
                    *OTHERS,
                    *ARGUMENTS,
                }
                unknown |= {name} - known - {"ssl"}
            case _:
                pass
    return unknown


@pytest.mark.parametrize("name", PEERS)
def test_a_page_names_only_what_polysocket_has(name: str) -> None:
    assert {literal: unknown for literal in values_in(name) if (unknown := unknown_in(literal))} == {}


@pytest.mark.parametrize("literal", ["ws.recieve()", "conect(url)", "max_size=3", "CloseCode.NORMAL", "BufferOverflow"])
def test_a_name_that_polysocket_does_not_have_is_found(literal: str) -> None:
    assert unknown_in(literal)
