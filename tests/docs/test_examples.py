"""Each program of ``docs/examples`` does what the documentation says, in every flavour it is for."""

from __future__ import annotations

import hashlib
import os
import re
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import pytest
import trustme

import polysocket
from docs.examples import graphql_ws, json_rpc
from polysocket import Binary, Blocking, Close, Ping, Pong, Text, WebSocket, WebSocketClosed, basic_request
from polysocket.testing import EchoServer
from polysocket.testing.contract import wire
from polysocket.testing.contract.places import upgrading
from tests.docs.programs import FLAVOURS, HAS_TRIO, answering, execute, rewritten, scripted
from tests.effects import json_rpc_server
from tests.proxy.proxies import http_proxy, socks_proxy

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"

Place = tuple[str, Mapping[str, str]]
"""The server's URL, and other replacements in the program."""


class Case(NamedTuple):
    """An example: the server that it needs, and a pattern of its output."""

    server: Callable[[Path], AbstractContextManager[Place]]
    prints: str
    every_flavour: bool = True
    needs: tuple[str, ...] = ()


@contextmanager
def nowhere(folder: Path) -> Iterator[Place]:
    yield "", {}


@contextmanager
def echo(folder: Path) -> Iterator[Place]:
    with EchoServer(limits=basic_request.subprotocol("chat.v1", "chat.v2")) as server:
        yield server.url, {}


@contextmanager
def echo_by_address(folder: Path) -> Iterator[Place]:
    with EchoServer() as server:
        port = server.url.split(":")[2].rstrip("/")
        yield server.url, {'("echo.example.com", 443)': f'("127.0.0.1", {port})'}


@contextmanager
def echo_by_unix_socket(folder: Path) -> Iterator[Place]:
    path = folder / "socket"
    with EchoServer(unix_path=path):
        yield "", {"/run/events.sock": str(path)}


@contextmanager
def echo_over_tls(folder: Path) -> Iterator[Place]:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with EchoServer(ssl=context) as server:
        yield server.url, {"our-ca.pem": str(folder / "ca.pem")}


@contextmanager
def echo_by_proxy(folder: Path) -> Iterator[Place]:
    with http_proxy(folder) as proxy, EchoServer() as server:
        yield server.url, {"http://me:secret@proxy.example.com:3128": proxy.url()}


@contextmanager
def echo_by_each_proxy(folder: Path) -> Iterator[Place]:
    with http_proxy(folder, auth=False) as http, socks_proxy(auth=False) as socks, echo(folder) as (url, _):
        yield url, {"http://localhost:3128": http.url(), "socks5://localhost:1080": socks.url()}


@contextmanager
def json_rpc_served(folder: Path) -> Iterator[Place]:
    # A program imports its neighbour. A program that is executed here has none.
    with json_rpc_server.serving(json_rpc_server.Server()) as url, patch.dict(sys.modules, json_rpc=json_rpc):
        yield url, {}


@contextmanager
def graphql_served(folder: Path) -> Iterator[Place]:
    from tests.multiplexing import graphql_server  # It needs libraries that may not be installed.

    with graphql_server.serving() as url, patch.dict(sys.modules, graphql_ws=graphql_ws):
        yield url, {}


@contextmanager
def rejecting(folder: Path) -> Iterator[Place]:
    def handle(sock: socket.socket) -> None:
        while b"\r\n\r\n" not in sock.recv(4096, socket.MSG_PEEK):
            pass
        sock.recv(4096)
        answer = "HTTP/1.1 401 Unauthorized", "WWW-Authenticate: Bearer", "Content-Length: 14", "", "no token given"
        sock.sendall("\r\n".join(answer).encode())

    with answering(handle) as url:
        yield url, {}


@contextmanager
def falling_silent(folder: Path) -> Iterator[Place]:
    def handle(sock: socket.socket) -> None:
        sock.sendall(upgrading(trailing=wire.text("news"))(sock.recv(4096)))
        while sock.recv(4096):
            pass

    with answering(handle) as url:
        yield url, {"ping_interval=10, ping_timeout=5": "ping_interval=0.1, ping_timeout=0.2"}


def playing(*scripts: Callable[[WebSocket[Blocking]], None]) -> Callable[[Path], AbstractContextManager[Place]]:
    @contextmanager
    def server(folder: Path) -> Iterator[Place]:
        with scripted(*scripts) as url:
            yield url, {}

    return server


def send_messages(ws: WebSocket[Blocking]) -> None:
    ws.send_text("one")
    ws.send(Text("t", final=False))
    ws.send(Text("wo"), is_continuation=True)
    ws.send_binary(b"\x03\x04")
    ws.close(1001, "come back tomorrow")


def send_frames(ws: WebSocket[Blocking]) -> None:
    ws.send(Text("Hel", final=False))
    ws.send(Ping(b"?"))
    ws.send(Text("lo"), is_continuation=True)
    ws.send_binary(bytes(1000))
    assert ws.receive() == Pong(b"?")


def send_ping(ws: WebSocket[Blocking]) -> None:
    ws.send(Ping(b"abc"))
    assert ws.receive() == Pong(b"abc")
    ws.send_text("thanks")


def send_file(ws: WebSocket[Blocking]) -> None:
    size = 1024 * 1024
    ws.send(Binary(bytes(size), final=False))
    ws.send(Binary(bytes(size), final=False), is_continuation=True)
    ws.send(Binary(b"end"), is_continuation=True)


def fail(ws: WebSocket[Blocking]) -> None:
    ws.send_text("one")
    ws.close(1011, "out of news")


def send_two_texts(ws: WebSocket[Blocking]) -> None:
    for text in ("apples", "pears"):
        ws.send_text(text)
        assert ws.receive_text() == f"thank you for {text}"
    ws.close()


def send_news(ws: WebSocket[Blocking]) -> None:
    assert ws.receive_text() == "subscribe to news"
    for number, text in enumerate(("apples", "pears")):
        ws.send_text(text)
        assert ws.receive_text() == f"thank you for {number}"
    assert isinstance(ws.receive(), Close)


def ask(ws: WebSocket[Blocking]) -> None:
    ws.send_text("Hello!")
    ws.send_text("Are you there?")
    assert ws.receive_text() == "yes"
    ws.close()


def send_messages_normally(ws: WebSocket[Blocking]) -> None:
    ws.send_text("one")
    ws.send_text("two")
    ws.close()


def restart(ws: WebSocket[Blocking]) -> None:
    ws.send_text("good morning")
    ws.close(1001)


def end_the_day(ws: WebSocket[Blocking]) -> None:
    ws.send_text("good night")
    assert isinstance(ws.receive(), Close)


def restart_for_subscriber(ws: WebSocket[Blocking]) -> None:
    assert ws.receive_text() == "subscribe to news"
    restart(ws)


def end_the_day_of_subscriber(ws: WebSocket[Blocking]) -> None:
    assert ws.receive_text() == "subscribe to news"
    end_the_day(ws)


def end_the_feed(ws: WebSocket[Blocking]) -> None:
    ws.close(1000, "no more news")


def send_far_too_many(ws: WebSocket[Blocking]) -> None:
    with suppress(WebSocketClosed):
        for _ in range(10_000):
            ws.send_text("news")


# The double of 4, and what two subscriptions count, in any order.
COUNTED = r"\{'double': 8\}\n(?=(?s:.*)102\n(?s:.*)102\n)(10[012]\n){5}"

CASES = {
    "quickstart_blocking": Case(echo, "Hello!\n", every_flavour=False),
    "quickstart_asyncio": Case(echo, "Hello!\n"),
    "quickstart_threaded": Case(echo, "Hello!\n", every_flavour=False),
    "quickstart_anyio": Case(echo, "Hello!\n", every_flavour=False, needs=("anyio",)),
    "object_stream": Case(echo, "a text message\nb'a binary message'\n", every_flavour=False, needs=("anyio",)),
    "channel_trio": Case(echo, "a text message\n", every_flavour=False),
    "quickstart_trio": Case(echo, "Hello!\n", every_flavour=False),
    "request": Case(echo, "101 Switching Protocols\nchat.v2\n"),
    "compression": Case(echo, r"\('permessage-deflate; server_no_context_takeover; client_no_context_takeover',\)\n"),
    "rejected": Case(rejecting, "401 Unauthorized\nBearer\nno token given\n"),
    "unix_socket": Case(echo_by_unix_socket, "Hello!\n"),
    "private_ca": Case(echo_over_tls, "Hello!\n"),
    "proxy": Case(echo_by_proxy, "Hello!\n"),
    "proxy_for_url": Case(echo, "Hello!\n"),
    "given_socket": Case(echo_by_address, "Hello!\n", every_flavour=False),
    "messages": Case(
        playing(send_messages),
        "text: one\ntext: two\nbinary: 03 04\nclosed by the peer; "
        r"received 1001 \(going away\) 'come back tomorrow', sent 1001 \(going away\)\n",
    ),
    "frames": Case(
        playing(send_frames),
        r"text 'Hel' and more follows\ncontrol Ping\(payload=b'\?'\)\ntext 'lo'\nbinary 1000 bytes\n"
        "close 1000 \n",
    ),
    "fragments": Case(playing(send_file), hashlib.sha256(bytes(2 * 1024 * 1024) + b"end").hexdigest() + "\n"),
    "own_pongs": Case(playing(send_ping), "answered b'abc'\nthanks\n"),
    "timeout": Case(echo, "nothing yet\nHello!\n"),
    "cancel_asyncio": Case(echo, "nothing is lost\n", every_flavour=False),
    "cancel_trio": Case(echo, "nothing is lost\n", every_flavour=False),
    "send_fragments": Case(echo, "one message, sent in three frames\n"),
    "json_messages": Case(echo, r"\['news', 'weather'\]\nno JSON: Hello!\n"),
    "parts_asyncio": Case(echo, "one message in parts\n", every_flavour=False),
    "batches": Case(echo, "one\ntwo\nthree\nfour\nfive\n"),
    "idle": Case(echo, "the only news\nno news for half a second\n"),
    "attributes": Case(
        echo,
        r"<polysocket\.\w+\.WebSocket ws://localhost:\d+/ open>\n"
        r"ws://localhost:\d+/ Headers\(\[\]\) \('permessage-deflate',\)\n"
        r"\('127\.0\.0\.1', \d+\) \('127\.0\.0\.1', \d+\)\nNone\n",
    ),
    "send_timeout": Case(echo, "Hello!\n"),
    "tasks_asyncio": Case(echo, "((apples|pears) [012]\n){6}", every_flavour=False),
    "tasks_trio": Case(echo, "((apples|pears) [012]\n){6}", every_flavour=False),
    "keepalive": Case(falling_silent, r"news\nthe latest round trip took None s\nthe peer is dead: .*\n"),
    "reconnecting": Case(
        playing(restart, end_the_day), "good morning\nopen again after 1001: fetch what was missed\ngood night\n"
    ),
    "reconnecting_loop": Case(playing(restart_for_subscriber, end_the_day_of_subscriber), "good morning\nlost: 1001\n"),
    "reconnecting_policy": Case(
        playing(restart, end_the_feed),
        r"good morning\nerror: WebSocketClosed\nGap\(.*\)\nerror: WebSocketClosed\nended: no more news\n",
    ),
    "threads": Case(echo, "message 0\nmessage 1\nmessage 2\n", every_flavour=False),
    "futures": Case(echo, r"\['message 0', 'message 1', 'message 2'\]\n", every_flavour=False),
    "backend": Case(echo, "101 Switching Protocols\nHello!\n"),
    "backend_request": Case(echo, "None chat.v2\n"),
    "handler_by_effect": Case(echo, "about to open\nHello!\n"),
    "handler_by_future": Case(echo, "Hello!\n", every_flavour=False),
    "listener": Case(
        playing(send_two_texts),
        r"received apples\nreceived pears\nclosed by the peer; received 1000 \(.*\), sent 1000 \(.*\)\n",
    ),
    "wrong_handler": Case(echo, "Printer.on_text is async, which this flavour can't await\n", every_flavour=False),
    "buffer": Case(playing(send_messages_normally), "one\ntwo\n"),
    "buffer_full": Case(playing(send_far_too_many), r"closed by this side because of a full buffer .*\n"),
    "pipe": Case(
        playing(send_news),
        r"received apples\nreceived pears\nclosed by this side; received 1000 \(.*\), sent 1000 \(.*\)\n",
    ),
    "text_pipe": Case(playing(ask), r"closed by the peer; received 1000 \(.*\), sent 1000 \(.*\)\n"),
    "fragments_pipe": Case(echo, "b'one message in three frames'\n"),
    "logging_backend": Case(
        echo,
        r"INFO ws://localhost:\d+/: open, permessage-deflate\n"
        r"DEBUG ws://localhost:\d+/: sent Text, 6 bytes\n"
        r"DEBUG ws://localhost:\d+/: received Text, 6 bytes\n"
        r"DEBUG ws://localhost:\d+/: sent Close, 2 bytes\n"
        r"DEBUG ws://localhost:\d+/: received Close, 2 bytes\n"
        r"INFO ws://localhost:\d+/: closed by this side; received 1000 \(.*\), sent 1000 \(.*\)\n",
    ),
    "debug_log": Case(
        echo,
        r"polysocket #\d+: opening ws://localhost:\d+/\n"
        r"polysocket #\d+: sent GET /\?… HTTP/1\.1\n"
        r"(polysocket #\d+: sent [\w-]+: .*\n)+"
        r"polysocket #\d+: received HTTP/1\.1 101 Switching Protocols\n"
        r"(polysocket #\d+: received [\w-]+: .*\n)+"
        r"polysocket #\d+: open, permessage-deflate\n"
        r"polysocket #\d+: sent Text, 6 bytes: 'Hello!'\n"
        r"polysocket #\d+: received Text, 6 bytes: 'Hello!'\n"
        r"polysocket #\d+: sent Close 1000 \(normal closure\)\n"
        r"polysocket #\d+: received Close 1000 \(normal closure\)\n"
        r"polysocket #\d+: closed by this side; received 1000 \(.*\), sent 1000 \(.*\)\n",
        every_flavour=False,
    ),
    "observer": Case(echo, "Close received 1\nClose sent 1\nText received 1\nText sent 1\n"),
    "prometheus_observer": Case(
        echo,
        r'polysocket_payload_bytes_total\{direction="received"\} 8\.0\n'
        r'polysocket_payload_bytes_total\{direction="sent"\} 8\.0\n',
        needs=("prometheus_client",),
    ),
    "opentelemetry_observer": Case(echo, "websocket 1000\n", needs=("opentelemetry",)),
    "close": Case(
        echo, r"closed by this side; received 1000 \(normal closure\), sent 1000 \(normal closure\) 'done'\n"
    ),
    "either_close": Case(playing(fail), "one\nclosed: 1011 out of news\n"),
    "errors": Case(
        playing(fail),
        r"one\nended: closed by the peer; received 1011 \(internal error\) 'out of news', "
        r"sent 1011 \(internal error\)\n",
    ),
    "too_big": Case(
        echo,
        r"closed by this side because of a limit \(.*\); no Close received, sent 1009 \(message too big\); "
        r"max_message_size=… raises the limit of 1000 bytes\n",
    ),
    "from_sttp": Case(
        echo_by_each_proxy,
        r"404\ncould not connect to localhost port 1: .*\n.*0\.01.*\n302\n.*reset by peer.*\n1000 \(normal closure\)\n"
        r".*a full buffer.*\nnot today\nall of it works\n",
        every_flavour=False,
        needs=("prometheus_client", "tiny_proxy"),
    ),
    "redacted": Case(nowhere, re.escape((EXAMPLES / "redacted.txt").read_text(encoding="utf-8")), every_flavour=False),
    "polymorphic_program": Case(echo, "({'Name\\?': 'Name\\?', 'Age\\?': 'Age\\?'}\n){2}", every_flavour=False),
    "polymorphic_waiting": Case(echo, r"\['Wake up!', 'Wake up!'\]\n", every_flavour=False),
    "polymorphic_client": Case(echo, r"Ada 1: Hello! Ada 2: Anybody here\?\n", every_flavour=False),
    "polymorphic_fields": Case(echo, '{"name": "Ada", "ws": "any name may be used"}\n', every_flavour=False),
    "json_rpc_blocking": Case(json_rpc_served, r"Method not found \(-32601\)\n\[1, 2, 3\]\n", every_flavour=False),
    "json_rpc_threaded": Case(json_rpc_served, r"meanwhile\n\[1, 2, 3\]\n", every_flavour=False),
    "json_rpc_asyncio": Case(json_rpc_served, r"\[1, 2, 3\]\n\[2, 1\]\n", every_flavour=False),
    "json_rpc_trio": Case(json_rpc_served, r"\[\(2, 1\), \(3, 2\), \(4, 3\)\]\n", every_flavour=False),
    **{
        f"graphql_ws_{flavour}": Case(graphql_served, COUNTED, every_flavour=False, needs=("strawberry", "starlette"))
        for flavour in ("blocking", "threaded", "asyncio", "trio")
    },
    "typed": Case(nowhere, "", every_flavour=False),
    "misuse": Case(nowhere, "", every_flavour=False),
    "tracing": Case(
        echo, r"> b'GET / HTTP/1\.1.*\n(< .*\n)+> .*\n(< .*\n)+Hello!\n> .*\n(< .*\n)+", every_flavour=False
    ),
}


def runs() -> Iterator[tuple[str, str]]:
    for name, case in CASES.items():
        if any(find_spec(module) is None for module in case.needs):
            continue
        if case.every_flavour:
            yield from ((name, flavour) for flavour in FLAVOURS if flavour != "threaded" or can_be_threaded(name))
        elif HAS_TRIO or not name.endswith("_trio"):
            yield name, "as it stands"


def can_be_threaded(name: str) -> bool:
    """Return whether an example uses only what the threaded flavour has, according to the documentation."""
    source = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")
    return not re.search(r"async for \w+ in ws[:.]|reconnect\(|open_websocket_f\(", source)


@pytest.mark.parametrize(("name", "flavour"), list(runs()))
def test_an_example_prints_what_the_documentation_says(
    name: str, flavour: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = EXAMPLES / f"{name}.py"
    source = path.read_text(encoding="utf-8")
    if CASES[name].every_flavour:
        source = rewritten(source, flavour)
    with CASES[name].server(tmp_path) as (url, replacements):
        execute(source, str(path), url, replacements)
    assert re.fullmatch(CASES[name].prints, capsys.readouterr().out)


RUN_ELSEWHERE = {path.stem for path in EXAMPLES.glob("*.py")} & {
    "json_rpc",
    "graphql_ws",
    "twisted_effect",
    "contract_in_threads",
}
USERS_TESTS = sorted(EXAMPLES.glob("testing_*.py"))


def test_the_tests_of_the_documentation_pass(tmp_path: Path) -> None:
    # In a process of their own, as a user's; the plugin may be known by its entry point, or not be installed.
    path = os.pathsep.join([str(Path(polysocket.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    known = {plugin.value for plugin in entry_points(group="pytest11")}
    plugin = "pytest_polysocket"
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"]
        + ([] if plugin in known else ["-p", plugin])
        + [str(path) for path in USERS_TESTS],
        cwd=tmp_path,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_every_example_is_run_and_shown_on_some_page() -> None:
    pages = "".join(page.read_text(encoding="utf-8") for page in EXAMPLES.parent.rglob("*.rst"))
    shown = set(re.findall(r"(?:literalinclude|sttp-names):: \S*examples/(\w+)\.py", pages))
    there = {path.stem for path in EXAMPLES.glob("*.py")}
    run = {*CASES, *(path.stem for path in USERS_TESTS), *RUN_ELSEWHERE}
    assert there == run == shown
