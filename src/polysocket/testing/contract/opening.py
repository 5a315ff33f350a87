"""The opening of a websocket: every transport, redirects, errors, time limits, and cancellation without a leak."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest

from polysocket import (
    ConnectFailed,
    Deflate,
    InvalidRequest,
    InvalidUpgrade,
    OpeningFailed,
    OpenTimeout,
    RedirectRefused,
    Text,
    UpgradeRejected,
    basic_request,
)
from polysocket.testing.contract import wire
from polysocket.testing.contract.fixtures import every_transport, tcp_and_tls
from polysocket.testing.contract.flavour import INTERRUPTED, Flavour, connect, connected, promise
from polysocket.testing.contract.places import (
    DEFLATE,
    Answer,
    Echo,
    Listener,
    Peer,
    Place,
    answering,
    client_context,
    saying,
    upgrading,
)

SHORT = 0.4  # seconds: an open_timeout that passes, though not before a peer of loopback has answered


# Open


@every_transport
@promise
async def test_an_open_websocket_has_the_response_of_the_server(flavour: Flavour, place: Place) -> None:
    answer = upgrading("Sec-WebSocket-Protocol: two", "Set-Cookie: a=1", "Set-Cookie: b=2", "X-Server: test")
    with Peer(place, answer) as peer:
        request = basic_request.get(peer.url).subprotocol("one", "two").header("X-Client", "y").cookie("c", "d")
        ws = await flavour.open(request, **peer.options())
        assert ws.is_open
        assert ws.close_info is None
        assert ws.subprotocol == ws.response.subprotocol == "two"
        assert ws.response.status == 101
        assert ws.response.headers["x-server"] == "test"
        assert ws.response.headers.get_all("Set-Cookie") == ["a=1", "b=2"]
        for field in (b"X-Client: y", b"Cookie: c=d", b"Sec-WebSocket-Protocol: one, two"):
            assert field.lower() in peer.requests[0].lower()
        peer.hang_up()
        await ws.close()
        assert not ws.is_open


@every_transport
@pytest.mark.parametrize("compression", [None, Deflate(), Deflate(server_no_context_takeover=True)])
@promise
async def test_compression_is_used_if_both_sides_want_it(
    flavour: Flavour, echo: Echo, compression: Deflate | None
) -> None:
    async with connected(flavour, echo, compression=compression) as ws:
        assert bool(ws.response.extensions) == (compression is not None)
        for _ in range(2):
            await ws.send_text("a" * 1000)
            assert await ws.receive_text() == "a" * 1000


@promise
async def test_no_compression_is_offered_if_compression_is_none(flavour: Flavour, peer: Peer) -> None:
    async with connected(flavour, peer, compression=None):
        assert b"permessage-deflate" not in peer.requests[0]


@promise
async def test_a_close_in_one_piece_with_the_handshake_is_answered(flavour: Flavour, place: Place) -> None:
    with Peer(place, upgrading(trailing=wire.encode(wire.TEXT, "a") + wire.close(1013, "later"))) as peer:
        async with connected(flavour, peer) as ws:
            assert not ws.is_open
            assert await ws.receive_text() == "a"
            assert (await flavour.call(peer.frame)).opcode == wire.CLOSE


# Redirects


@tcp_and_tls
@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
@promise
async def test_redirects_are_followed(flavour: Flavour, place: Place, status: str) -> None:
    with Peer(place, answering(status, "Location: /there?x=1"), upgrading()) as peer:
        request = basic_request.get(peer.url).basic_auth("user", "secret")
        ws = await flavour.open(request, **peer.options())
        first, second = peer.requests
        assert first.startswith(b"GET / HTTP/1.1\r\n")
        assert second.startswith(b"GET /there?x=1 HTTP/1.1\r\n")
        assert b"Authorization:" in second  # the same origin
        peer.send(wire.encode(wire.TEXT, "a"))
        assert await ws.receive() == Text("a")
        peer.hang_up()
        await ws.close()


@tcp_and_tls
@promise
async def test_a_redirect_to_another_origin_drops_credentials(flavour: Flavour, place: Place) -> None:
    with (
        Peer(place) as there,
        Peer(place, answering("302 Found", f"Location: {there.url.replace('ws', 'http', 1)}")) as here,
    ):
        request = basic_request.get(here.url).bearer_auth("secret").cookie("session", "secret").header("X", "secret")
        ws = await flavour.open(request.origin("https://page.example"), **here.options())
        assert here.requests[0].count(b"secret") == 3
        assert b"secret" not in there.requests[0]
        assert b"Origin: https://page.example" in there.requests[0]
        there.hang_up()
        await ws.close()


@promise
async def test_redirects_over_the_limit_are_refused(flavour: Flavour, place: Place) -> None:
    circle = [answering("302 Found", "Location: /again")] * 4
    with Peer(place, *circle) as peer:
        with pytest.raises(RedirectRefused, match="allows no more") as caught:
            await flavour.open(basic_request.get(peer.url).follow_redirects(3))
        assert len(peer.requests) == 4
        assert caught.value.response.status == 302


@pytest.mark.parametrize("transport", ["unix", "sock"], indirect=True)
@promise
async def test_a_given_socket_or_unix_path_follows_no_redirect(flavour: Flavour, place: Place) -> None:
    with Peer(place, answering("302 Found", "Location: /there")) as peer, pytest.raises(RedirectRefused):
        await connect(flavour, peer)


# Refused


def _for_another_key(request: bytes) -> bytes:
    return upgrading()(request.replace(b"=\r\n", b"A\r\n"))


@every_transport
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (answering("404 Not Found", body=b"a page"), UpgradeRejected),
        (answering("401 Unauthorized", 'WWW-Authenticate: Basic realm="x"'), UpgradeRejected),
        (answering("200 OK", body=b"a page"), UpgradeRejected),
        (saying(b"SSH-2.0-OpenSSH_9.2\r\n"), InvalidUpgrade),
        (saying(b""), InvalidUpgrade),
        (_for_another_key, InvalidUpgrade),
        (upgrading("Sec-WebSocket-Protocol: unasked"), InvalidUpgrade),
        (upgrading(DEFLATE, "Sec-WebSocket-Extensions: unasked"), InvalidUpgrade),
    ],
    ids=["404", "401", "200", "no HTTP", "nothing", "accept", "subprotocol", "extension"],
)
@promise
async def test_a_refused_upgrade_raises_an_error_and_leaks_nothing(
    flavour: Flavour, place: Place, answer: Answer, error: type[OpeningFailed]
) -> None:
    with Peer(place, answer) as peer:
        opening = flavour.spawn(connect, flavour, peer)
        if answer(b"\r\nsec-websocket-key: x") == b"":
            await flavour.call(lambda: peer.stream)
            peer.hang_up()
        with pytest.raises(error) as caught:
            await opening.result()
        if isinstance(caught.value, UpgradeRejected):
            assert caught.value.response.body in (b"a page", b"")


@promise
async def test_a_refused_connection_raises_connect_failed(flavour: Flavour, place: Place) -> None:
    listener = Listener(place)
    listener.hang_up()
    with pytest.raises(ConnectFailed, match="could not connect to localhost port"):
        await flavour.open(listener.url)


@promise
async def test_an_unknown_host_raises_connect_failed(flavour: Flavour) -> None:
    with pytest.raises(ConnectFailed, match=r"could not connect to host\.invalid port 80"):
        await flavour.open("ws://host.invalid/")


@pytest.mark.parametrize("transport", ["unix"], indirect=True)
@promise
async def test_a_missing_unix_socket_raises_connect_failed(flavour: Flavour, place: Place) -> None:
    with pytest.raises(ConnectFailed, match="could not connect to the Unix socket"):
        await flavour.open("ws://localhost/", unix_path=place.new_path())


@pytest.mark.parametrize("transport", ["tls"], indirect=True)
@promise
async def test_a_certificate_for_another_name_is_refused(flavour: Flavour, peer: Peer) -> None:
    with pytest.raises(ConnectFailed, match="certificate is not valid"):
        await flavour.open(peer.url.replace("localhost", "127.0.0.1"), ssl=client_context())


@pytest.mark.parametrize("transport", ["tls"], indirect=True)
@promise
async def test_an_untrusted_certificate_is_refused(flavour: Flavour, peer: Peer) -> None:
    with pytest.raises(ConnectFailed, match="certificate is not valid"):
        await flavour.open(peer.url)


@promise
async def test_tls_to_a_server_without_tls_raises_connect_failed(flavour: Flavour, silent: Listener) -> None:
    answering_plainly = flavour.spawn(flavour.call, silent.answer_once, b"HTTP/1.1 400 Bad Request\r\n\r\n")
    with pytest.raises(ConnectFailed, match="no TLS with localhost"):
        await flavour.open(silent.url.replace("ws", "wss"), ssl=client_context())
    await answering_plainly.result()


@promise
async def test_options_that_exclude_each_other_are_refused(flavour: Flavour) -> None:
    left, right = socket.socketpair()
    with left, right, pytest.raises(InvalidRequest, match="exclude each other"):
        await flavour.open("ws://localhost/", sock=left, unix_path="x")
    with pytest.raises(InvalidRequest, match="ssl is for wss URLs"):
        await flavour.open("ws://localhost/", ssl=client_context())


@pytest.mark.parametrize("scheme", ["ws", "wss"])
@promise
async def test_an_ssl_socket_is_refused_before_a_byte_is_sent(flavour: Flavour, scheme: str) -> None:
    left, right = socket.socketpair()
    context = client_context()
    with right, context.wrap_socket(left, server_hostname="localhost", do_handshake_on_connect=False) as secure:
        with pytest.raises(InvalidRequest, match=r"not an ssl\.SSLSocket: pass the socket before wrap_socket\(\)"):
            await flavour.open(f"{scheme}://localhost/", sock=secure)
        assert secure.fileno() != -1  # It is still the caller's.
        right.setblocking(False)
        with pytest.raises(BlockingIOError):
            right.recv(1)


class _Subclass(socket.socket):
    """A socket such as that of PySocks."""


@promise
async def test_a_socket_of_a_subclass_is_used(flavour: Flavour, peer: Peer) -> None:
    plain = socket.create_connection(("127.0.0.1", int(peer.url.rpartition(":")[2].strip("/"))))
    async with connected(flavour, peer, sock=_Subclass(fileno=plain.detach())) as ws:
        await ws.send_text("a")
        assert (await flavour.call(peer.frame)).payload == b"a"


def _listening() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


def _datagram() -> socket.socket:
    sock, other = socket.socketpair(type=socket.SOCK_DGRAM)
    other.close()
    return sock


def _closed() -> socket.socket:
    sock, other = socket.socketpair()
    other.close()
    sock.close()
    return sock


@pytest.mark.parametrize(
    ("make_socket", "text"),
    [
        (socket.socket, r"it is not connected; call its connect\(\) first"),
        (_listening, r"it is not connected; call its connect\(\) first"),
        (_datagram, r"it is not a stream socket; pass one such as socket\.create_connection"),
        (_closed, r"it is closed; pass a new one, such as socket\.create_connection"),
    ],
    ids=["not connected", "listening", "datagram", "closed"],
)
@promise
async def test_a_socket_that_is_not_a_connected_stream_socket_is_refused(
    flavour: Flavour, make_socket: Callable[[], socket.socket], text: str
) -> None:
    sock = make_socket()
    with pytest.raises(ConnectFailed, match=f"the given socket: .*{text}"):
        await flavour.open("ws://localhost/", sock=sock)
    assert sock.fileno() == -1


@pytest.mark.parametrize("sock", [3, "localhost:80", ("localhost", 80)], ids=repr)
@promise
async def test_what_is_not_a_socket_is_refused(flavour: Flavour, sock: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"sock is a socket\.socket, not "):
        await flavour.open("ws://localhost/", sock=sock)


# Slow


@every_transport
@promise
async def test_a_silent_server_raises_open_timeout(flavour: Flavour, silent: Listener) -> None:
    """Over TLS, the TLS handshake stalls."""
    with pytest.raises(OpenTimeout, match=f"not open within {SHORT} seconds") as caught:
        await connect(flavour, silent, open_timeout=SHORT)
    assert isinstance(caught.value, TimeoutError)


@every_transport
@promise
async def test_an_answer_that_stalls_raises_open_timeout(flavour: Flavour, place: Place) -> None:
    with Peer(place, lambda request: upgrading()(request)[:-1]) as peer, pytest.raises(OpenTimeout):
        await connect(flavour, peer, open_timeout=SHORT)


@promise
async def test_a_rejection_whose_body_stalls_is_raised_after_open_timeout(flavour: Flavour, place: Place) -> None:
    stalled = answering("503 Service Unavailable", body=b"because of")
    with Peer(place, lambda request: stalled(request)[:-3]) as peer, pytest.raises(UpgradeRejected) as caught:
        await connect(flavour, peer, open_timeout=SHORT)
    assert caught.value.response.body == b"because"


@promise
async def test_redirects_share_one_open_timeout(flavour: Flavour, place: Place) -> None:
    with Peer(place, answering("302 Found", "Location: /there"), lambda _: b"HTTP/1.1 101") as peer:
        with pytest.raises(OpenTimeout, match="/there was not open"):
            await connect(flavour, peer, open_timeout=SHORT)
        assert len(peer.requests) == 2


@pytest.mark.parametrize("transport", ["unix"], indirect=True)
@promise
async def test_a_unix_socket_with_a_full_backlog_raises_an_error_in_time(flavour: Flavour, place: Place) -> None:
    listener = Listener(place, backlog=0)
    waiting: list[socket.socket] = []
    try:
        assert listener.path is not None
        while len(waiting) < 10:
            waiting.append(socket.socket(socket.AF_UNIX))
            waiting[-1].setblocking(False)
            if waiting[-1].connect_ex(listener.path):
                break
        with pytest.raises((OpenTimeout, ConnectFailed)):
            await connect(flavour, listener, open_timeout=SHORT)
    finally:
        listener.hang_up()
        for sock in waiting:
            sock.close()


# Cancelled


@every_transport
@pytest.mark.parametrize("turns", [0, 1, 2, 3, 4, 6, 30])
@promise
async def test_opening_may_be_cancelled_at_any_time(flavour: Flavour, silent: Listener, turns: int) -> None:
    assert await flavour.interrupt(lambda: connect(flavour, silent), turns) is INTERRUPTED


@every_transport
@promise
async def test_opening_may_be_cancelled_at_any_time_while_a_server_answers(flavour: Flavour, place: Place) -> None:
    opened = 0
    with Echo(place) as echo:
        for turns in range(60):
            ws = await flavour.interrupt(lambda: connect(flavour, echo), turns)
            if ws is not INTERRUPTED:
                opened += 1
                await ws.close()
    assert opened < 60
