"""Each error text of the page about errors is what polysocket says in that case."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import warnings
from collections.abc import Callable

import pytest
import trustme

from polysocket import Asyncio, Blocking, WebSocket, blocking, threaded
from polysocket.asyncio import connect
from polysocket.testing import EchoServer
from tests.docs.pages import page
from tests.docs.programs import HAS_TRIO, answering, scripted

TEXTS = re.findall(r"^``(.+)``\n   \S", page("faq"), re.MULTILINE)


def with_echo(use: Callable[[WebSocket[Blocking]], object], **options: int) -> Callable[[], None]:
    """Return a function that uses a websocket to an echo server."""

    def run() -> None:
        with EchoServer() as server, blocking.connect(server.url, max_message_size=options.get("limit", 1000)) as ws:
            use(ws)

    return run


def answer(head: str) -> Callable[[], None]:
    """Return a function that connects to a server whose response begins with a line."""

    def respond(sock: socket.socket) -> None:
        sock.recv(65536)
        sock.sendall(f"HTTP/1.1 {head}\r\nContent-Length: 0\r\n\r\n".encode())

    def run() -> None:
        with answering(respond) as url:
            blocking.connect(url, max_redirects=0)

    return run


def closed_with(code: int) -> Callable[[], None]:
    """Return a function that receives from a server that closes with a code."""

    def run() -> None:
        with scripted(lambda ws: ws.close(code, "reason")) as url, blocking.connect(url) as ws:
            ws.receive_text()

    return run


def use_tls_with_a_plain_server() -> None:
    with EchoServer() as server:
        blocking.connect(server.url.replace("ws:", "wss:"))


def tls_server() -> EchoServer:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    return EchoServer(ssl=context)


def use_no_tls_with_a_tls_server() -> None:
    with tls_server() as server:
        blocking.connect(server.url.replace("wss:", "ws:"))


def trust_no_authority() -> None:
    with tls_server() as server:
        blocking.connect(server.url)


def wait_for_an_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        blocking.connect(f"ws://127.0.0.1:{silent.getsockname()[1]}/", open_timeout=0.1)


def receive_twice() -> None:
    async def main() -> None:
        async with connect(server.url) as ws:
            receiving = asyncio.create_task(ws.receive_text())
            await asyncio.sleep(0)
            try:
                await ws.receive_text()
            finally:
                receiving.cancel()
                await asyncio.wait([receiving])

    with EchoServer() as server:
        asyncio.run(main())


def lose_the_server() -> None:
    with EchoServer() as server:
        ws = blocking.connect(server.url)
    with ws:
        ws.receive_text()


def send_binary_and_receive_text(ws: WebSocket[Blocking]) -> None:
    ws.send_binary(b"x")
    ws.receive_text(timeout=10)


def send_text_and_receive_json(ws: WebSocket[Blocking]) -> None:
    ws.send_text("Hello!")
    ws.receive_json(timeout=10)


def send_too_much(ws: WebSocket[Blocking]) -> None:
    ws.send_text("x" * 1001)
    ws.receive_text(timeout=10)


def use_after_the_end(ws: WebSocket[Blocking]) -> None:
    ws.close()
    ws.send_text("more")


def enter_with_with() -> None:
    with connect("ws://localhost:1/"):  # type: ignore[attr-defined]
        pass


def use_trio_in_asyncio() -> None:
    from polysocket import trio

    async def main() -> None:
        async with trio.connect("ws://localhost:1/"):
            pass

    asyncio.run(main())


def use_two_loops() -> None:
    async def main() -> WebSocket[Asyncio]:
        return await connect(server.url)

    with EchoServer() as server:
        ws = asyncio.run(main())
        try:
            asyncio.run(ws.send_text("Hello!"))
        finally:
            with pytest.raises(RuntimeError):
                asyncio.run(ws.close())


def iterate_over_futures() -> None:
    with EchoServer() as server, threaded.connect(server.url).result() as ws:
        iter(ws)


def forget_await() -> None:
    async def main() -> None:
        async with connect(server.url) as ws:
            ws.send_text("Hello!")  # type: ignore[unused-coroutine]

    with EchoServer() as server, warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        asyncio.run(main())
    raise next(each.message for each in seen if isinstance(each.message, RuntimeWarning))


def connect_to(url: str, **options: object) -> Callable[[], object]:
    return lambda: blocking.connect(url, **options)  # type: ignore[arg-type]


CASES: list[Callable[[], object]] = [
    connect_to("ws://localhost:1/"),
    connect_to("ws://no-such-host.invalid/"),
    use_tls_with_a_plain_server,
    use_no_tls_with_a_tls_server,
    trust_no_authority,
    wait_for_an_answer,
    answer("401 Unauthorized"),
    answer("403 Forbidden"),
    answer("200 OK"),
    answer("301 Moved Permanently\r\nLocation: /elsewhere"),
    connect_to("localhost:80"),
    connect_to("ws://localhost/", max_size=1),
    connect_to("ws://localhost/", subprotocols="chat"),
    with_echo(lambda ws: ws.receive_text(timeout=0.01)),
    with_echo(send_binary_and_receive_text),
    with_echo(send_text_and_receive_json),
    receive_twice,
    with_echo(lambda ws: ws.send_text(b"x")),  # type: ignore[arg-type]
    lose_the_server,
    closed_with(1000),
    closed_with(1008),
    closed_with(1011),
    with_echo(use_after_the_end),
    with_echo(send_too_much),
    enter_with_with,
    *([use_trio_in_asyncio] if HAS_TRIO else [lambda: None]),
    use_two_loops,
    iterate_over_futures,
    forget_await,
]


def test_each_text_has_a_case() -> None:
    assert len(TEXTS) == len(CASES)


@pytest.mark.parametrize(("text", "case"), list(zip(TEXTS, CASES, strict=False)))
def test_an_error_says_what_the_page_says(text: str, case: Callable[[], object]) -> None:
    if text.startswith("polysocket.trio") and not HAS_TRIO:
        pytest.skip("trio is not installed")
    with pytest.raises(Exception) as caught:  # noqa: PT011 - The page lists errors of many kinds.
        case()
    assert re.search(re.escape(text).replace("…", ".*"), str(caught.value)), str(caught.value)
