"""Conversations with servers of other projects: each program is written once, and runs in every flavour.

Tests that depend on the transport run over TCP, TLS and Unix sockets, with and without compression; others over TCP.
"""

from __future__ import annotations

import json
import math
import secrets
import socket
from typing import Any

import pytest

from polysocket import (
    Async,
    Binary,
    Close,
    CloseCause,
    CloseCode,
    CloseInfo,
    Deflate,
    Ping,
    Pong,
    Side,
    Text,
    UpgradeRejected,
    WebSocket,
    WebSocketClosed,
    basic_request,
    polymorphic,
)
from tests.interop.conftest import Place, Server
from tests.interop.flavours import Flavour
from tests.interop.servers.paths import ANSWERED, CLOSE_CODE, CLOSE_REASON, COUNT

MIB = 1024 * 1024

Message = str | bytes


@pytest.fixture
def over_tcp(server: Server) -> Place:
    """Each server in turn, over TCP."""
    return server.reached_by("ws", Deflate())


@polymorphic
async def exchange(ws: WebSocket[Async], messages: list[Message]) -> None:
    """Send each message after the echo of the previous one."""
    for message in messages:
        await ws.send(Text(message) if isinstance(message, str) else Binary(message))
        assert await ws.receive_message() == message


SHORT: list[Message] = ["Hello!", b"\x00\xff", "¡Hola! 你好! 👋🏽 \U0010ffff", "\x00"]
EMPTY: list[Message] = ["", b"", "", "not empty"]
AT_THE_BORDERS_OF_LENGTHS: list[Message] = [byte * size for size in (125, 126, 65535, 65536) for byte in ("x", b"y")]
LONG: list[Message] = ["é👋" * 11_667, secrets.token_bytes(70_000), "x" * (MIB - 1), secrets.token_bytes(MIB - 1)]
MESSAGES = {"short ones": SHORT + EMPTY + AT_THE_BORDERS_OF_LENGTHS, "up to 1 MiB": LONG}


@pytest.mark.parametrize("messages", MESSAGES.values(), ids=MESSAGES)
def test_messages_are_echoed_unchanged(flavour: Flavour, place: Place, messages: list[Message]) -> None:
    flavour.open(place.request("/echo"), exchange, messages, **place.options)


@polymorphic
async def send_all_then_receive_all(ws: WebSocket[Async], messages: list[str]) -> list[str]:
    for message in messages:
        await ws.send_text(message)
    return [await ws.receive_text() for _ in messages]


def test_many_messages_are_echoed_in_order(flavour: Flavour, place: Place) -> None:
    messages = [f"message {number}" for number in range(300)]
    assert flavour.open(place.request("/echo"), send_all_then_receive_all, messages, **place.options) == messages


@polymorphic
async def send_in_fragments(ws: WebSocket[Async], with_ping: bool) -> None:
    """Send a text in four frames, one of them empty, perhaps with a Ping between them; then bytes in two frames."""
    await ws.send(Text("Grüße, ", final=False))
    await ws.send(Text("", final=False), is_continuation=True)
    if with_ping:
        await ws.send(Ping(b"within"))
        assert await ws.receive() == Pong(b"within")
    await ws.send(Text("👋", final=False), is_continuation=True)
    await ws.send(Text("!"), is_continuation=True)
    assert await ws.receive_text() == "Grüße, 👋!"
    await ws.send(Binary(b"\x00" * 100_000, final=False))
    await ws.send(Binary(b"\xff"), is_continuation=True)
    assert await ws.receive_binary() == b"\x00" * 100_000 + b"\xff"


def test_a_fragmented_message_arrives_whole(flavour: Flavour, place: Place) -> None:
    # wsproto (1.3.2) fails the connection with 1007 at a Ping between two compressed fragments.
    with_ping = place.server.name != "hypercorn" or place.options["compression"] is None
    flavour.open(place.request("/echo"), send_in_fragments, with_ping, **place.options)


@polymorphic
async def ping(ws: WebSocket[Async]) -> list[float]:
    """Ping four times, the last time before the echo of a message arrives."""
    times = [await ws.ping(), await ws.ping(b""), await ws.ping(b"x" * 125)]
    await ws.send_text("Hello!")
    times.append(await ws.ping())
    assert await ws.receive_text() == "Hello!"
    return times


def test_pings_are_answered(flavour: Flavour, place: Place) -> None:
    times = flavour.open(place.request("/echo"), ping, **place.options)
    assert all(seconds >= 0 and math.isfinite(seconds) for seconds in times)


@polymorphic
async def be_pinged(ws: WebSocket[Async]) -> None:
    assert isinstance(await ws.receive(), Ping)
    await ws.send_text("pinged")
    assert await ws.receive_text() == "pinged"


def test_pings_of_the_server_are_answered(flavour: Flavour, server: Server) -> None:
    place = server.reached_by("ping" if "ping" in server.ports else "ws", None)
    flavour.open(place.request("/ping"), be_pinged, **place.options)


def sender(message: str) -> polymorphic[[], list[str]]:
    @polymorphic
    async def send(ws: WebSocket[Async]) -> list[str]:
        await ws.send_text(message)
        return []

    return send


def receiver(count: int) -> polymorphic[[], list[str]]:
    @polymorphic
    async def receive(ws: WebSocket[Async]) -> list[str]:
        return [await ws.receive_text() for _ in range(count)]

    return receive


def test_concurrent_sends_arrive_whole(flavour: Flavour, place: Place) -> None:
    messages = [chr(ord("A") + number) * 2**number for number in range(16)] * 2
    programs = [*map(sender, messages), receiver(len(messages))]
    *_, received = flavour.together(place.request("/echo"), programs, **place.options)
    assert sorted(received) == sorted(messages)


@polymorphic
async def iterate(ws: WebSocket[Async]) -> tuple[list[Message], CloseInfo | None]:
    return [message async for message in ws], ws.close_info


def test_iteration_yields_each_message_and_ends_at_a_normal_close(flavour: Flavour, place: Place) -> None:
    messages, info = flavour.open(place.request("/count"), iterate, **place.options)
    assert messages == [str(number) for number in range(COUNT)]
    assert info == CloseInfo(Side.REMOTE, CloseCause.CLOSE, Close(1000), Close(1000))


# A socket that is already open


def test_a_given_socket_is_used_and_closed(flavour: Flavour, over_tcp: Place) -> None:
    sock = socket.create_connection(("127.0.0.1", over_tcp.server.ports["ws"]))
    flavour.open(over_tcp.request("/echo"), exchange, SHORT, sock=sock)
    assert sock.fileno() == -1


@pytest.mark.parametrize("protocol", [0, socket.IPPROTO_TCP])
def test_a_given_socket_sends_without_delay(flavour: Flavour, servers: dict[str, Server], protocol: int) -> None:
    """Nagle's algorithm would delay each second frame until the ACK of the first, for 40 ms."""
    place = servers["aiohttp"].reached_by("ws", None)
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, protocol)
    sock.connect(("127.0.0.1", place.server.ports["ws"]))
    with sock.dup() as same:
        flavour.open(place.request("/echo"), exchange, SHORT, sock=sock)
        assert same.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


# The opening handshake


@polymorphic
async def look_at_the_answer(ws: WebSocket[Async]) -> WebSocket[Async]:
    return ws


@pytest.mark.parametrize(("offer", "names"), [(None, []), (Deflate(), ["permessage-deflate"])], ids=["no", "yes"])
def test_compression_is_agreed_on_if_it_is_offered(
    flavour: Flavour, server: Server, offer: Deflate | None, names: list[str]
) -> None:
    place = server.reached_by("ws", offer)
    response = flavour.open(place.request("/echo"), look_at_the_answer, **place.options).response
    assert response.status == 101
    assert [extension.partition(";")[0] for extension in response.extensions] == names


OFFERS = {
    "no context takeover": Deflate(server_no_context_takeover=True, client_no_context_takeover=True),
    "small windows": Deflate(server_max_window_bits=9, client_max_window_bits=9),
    "little memory": Deflate(window_bits=9, level=9, memory_level=1),
    "much memory": Deflate(window_bits=15, memory_level=9),
    "all": Deflate(True, True, 10, 11, level=1, memory_level=9),
}


@pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS)
def test_every_parameter_of_compression_is_understood(flavour: Flavour, server: Server, offer: Deflate) -> None:
    place = server.reached_by("ws", offer)
    again = "again and again " * 100
    messages: list[Message] = [again, again, again, secrets.token_bytes(5000), b"", "again " * 10_000]
    flavour.open(place.request("/echo"), exchange, messages, **place.options)


@pytest.mark.parametrize(
    ("offered", "chosen"), [(["chat"], "chat"), (["v9.unknown", "superchat"], "superchat"), ([], None)]
)
def test_a_subprotocol_is_agreed_on(flavour: Flavour, over_tcp: Place, offered: list[str], chosen: str | None) -> None:
    request = over_tcp.request("/echo", basic_request.subprotocol(*offered))
    ws = flavour.open(request, look_at_the_answer, **over_tcp.options)
    assert ws.subprotocol == chosen


@polymorphic
async def receive_json(ws: WebSocket[Async]) -> object:
    return json.loads(await ws.receive_text())


def test_the_server_receives_the_headers_of_the_request(flavour: Flavour, over_tcp: Place) -> None:
    request = (
        basic_request.header("X-Word", "one")
        .header("X-Word", "two, three")
        .origin("https://example.com")
        .bearer_auth("a.token")
        .cookie("session", "1")
        .cookie("theme", "dark")
    )
    headers = flavour.open(over_tcp.request("/headers", request), receive_json, **over_tcp.options)
    assert isinstance(headers, list)
    sent = [(name.lower(), value) for name, value in headers]
    assert [value for name, value in sent if name == "x-word"] == ["one", "two, three"]
    assert ("origin", "https://example.com") in sent
    assert ("authorization", "Bearer a.token") in sent
    assert [value for name, value in sent if name == "cookie"] == ["session=1; theme=dark"]
    assert ("host", over_tcp.base.removeprefix("ws://")) in sent


def test_the_response_has_the_headers_of_the_answer(flavour: Flavour, over_tcp: Place) -> None:
    ws = flavour.open(over_tcp.request("/echo"), look_at_the_answer, **over_tcp.options)
    for name in ("X-Answered-By", "Set-Cookie"):
        assert ws.response.headers.get_all(name) == [value for key, value in ANSWERED if key == name]


def test_an_unknown_path_is_rejected_with_a_status(flavour: Flavour, over_tcp: Place) -> None:
    with pytest.raises(UpgradeRejected) as caught:
        flavour.open(over_tcp.request("/nothing"), look_at_the_answer, **over_tcp.options)
    response = caught.value.response
    if over_tcp.server.name == "hypercorn":
        assert (response.status, response.body) == (403, b"")  # as ASGI demands
    else:
        assert (response.status, response.body) == (404, b"nothing here\n")


# The closing handshake


@polymorphic
async def be_closed(ws: WebSocket[Async]) -> CloseInfo | None:
    close = await ws.receive()
    assert close == Close(CLOSE_CODE, CLOSE_REASON)
    assert not ws.is_open
    with pytest.raises(WebSocketClosed) as caught:
        await ws.receive()
    assert caught.value.close == close
    return caught.value.close_info


def test_a_close_of_the_server_has_its_code_and_reason(flavour: Flavour, place: Place) -> None:
    info = flavour.open(place.request("/close"), be_closed, **place.options)
    assert info == CloseInfo(Side.REMOTE, CloseCause.CLOSE, Close(CLOSE_CODE, CLOSE_REASON), Close(CLOSE_CODE))


@polymorphic
async def close(ws: WebSocket[Async], *args: Any) -> CloseInfo | None:
    await ws.close(*args)
    return ws.close_info


CLOSES: dict[str, tuple[tuple[Any, ...], Close]] = {
    "by default": ((), Close(1000)),
    "with a code": ((4321,), Close(4321)),
    "with a code and a reason": ((3000, "good night, café"), Close(3000, "good night, café")),
}


def seen_by_the_application(server: Server, close: Close) -> list[object]:
    if server.name == "hypercorn":  # 0.18 reports the same code to an application for every Close
        return [CloseCode.ABNORMAL_CLOSURE, None]
    return [close.code, close.reason]


@pytest.mark.parametrize(("args", "sent"), CLOSES.values(), ids=CLOSES)
def test_the_server_receives_the_close_code_and_reason_of_the_client(
    flavour: Flavour, over_tcp: Place, args: tuple[Any, ...], sent: Close
) -> None:
    key = secrets.token_hex()
    info = flavour.open(over_tcp.request(f"/closing/{key}"), close, *args, **over_tcp.options)
    assert info is not None
    answer = Close(1000) if over_tcp.server.name == "aiohttp" else Close(sent.code, info.reason)
    assert info == CloseInfo(Side.LOCAL, CloseCause.CLOSE, answer, sent)
    seen = flavour.open(over_tcp.request(f"/closed/{key}"), receive_json, **over_tcp.options)
    assert seen == seen_by_the_application(over_tcp.server, sent)


def test_leaving_the_with_block_closes_normally(flavour: Flavour, place: Place) -> None:
    key = secrets.token_hex()
    ws = flavour.open(place.request(f"/closing/{key}"), look_at_the_answer, **place.options)
    assert not ws.is_open
    assert ws.close_info == CloseInfo(Side.LOCAL, CloseCause.CLOSE, Close(1000), Close(1000))
    seen = flavour.open(place.request(f"/closed/{key}"), receive_json, **place.options)
    assert seen == seen_by_the_application(place.server, Close(1000))
