"""Attributes of a websocket: URL, request, addresses, TLS, ``repr``; also after its end."""

from __future__ import annotations

import pytest

from polysocket import ConnectionLost, Deflate, basic_request
from polysocket.testing import memory_pair
from polysocket.testing.contract import wire
from polysocket.testing.contract.fixtures import every_transport
from polysocket.testing.contract.flavour import Flavour, connected, promise
from polysocket.testing.contract.places import DEFLATE, Peer, Place, answering, upgrading


@every_transport
@promise
async def test_a_websocket_has_its_url_and_its_request(flavour: Flavour, peer: Peer) -> None:
    request = basic_request.get(f"{peer.url}chat?token=secret").header("X-Client", "y").compress(None)
    ws = await flavour.open(request, **peer.options())
    for _ in range(2):
        assert ws.url == f"{request.url}?token=secret"
        assert ws.request.url == request.url
        assert ws.request.headers == request.headers
        assert ws.request.close_timeout == 5  # of the options
        peer.hang_up()
        await ws.close()


@promise
async def test_the_url_and_the_request_are_those_after_redirects(flavour: Flavour, place: Place) -> None:
    with Peer(place, answering("302 Found", "Location: /there?x=1"), upgrading()) as peer:
        request = basic_request.get(peer.url.replace("//", "//user:secret@")).header("X-Client", "y")
        ws = await flavour.open(request, **peer.options())
        assert ws.url == f"{peer.url}there?x=1"
        assert ws.request.url is not None
        assert ws.request.url.target == "/there?x=1"
        assert ws.request.headers == request.headers  # the same origin
        peer.hang_up()
        await ws.close()


@every_transport
@promise
async def test_a_websocket_has_the_addresses_of_its_socket(flavour: Flavour, peer: Peer) -> None:
    async with connected(flavour, peer) as ws:
        addresses = peer.stream.socket.getsockname(), peer.stream.socket.getpeername()
        assert (ws.remote_address, ws.local_address) == addresses
        peer.reset()
        with pytest.raises(ConnectionLost):
            await ws.receive()
        assert (ws.remote_address, ws.local_address) == addresses
    assert (ws.remote_address, ws.local_address) == addresses


@every_transport
@promise
async def test_tls_is_known_from_the_handshake_to_after_the_end(flavour: Flavour, peer: Peer, transport: str) -> None:
    async with connected(flavour, peer) as ws:
        tls = ws.tls
        if transport != "tls":
            assert tls is None
            return
        assert tls is not None
        assert tls.version in ("TLSv1.2", "TLSv1.3")
        assert tls.cipher
        assert tls.peer_certificate is not None
        peer.send_raw(b"no TLS record")
        with pytest.raises(ConnectionLost):
            await ws.receive()
        assert ws.tls == tls
    assert ws.tls == tls


@pytest.mark.parametrize("compression", [None, Deflate()])
@promise
async def test_extensions_are_those_that_were_agreed_on(
    flavour: Flavour, place: Place, compression: Deflate | None
) -> None:
    with Peer(place, upgrading(*[DEFLATE] * (compression is not None))) as peer:
        async with connected(flavour, peer, compression=compression) as ws:
            agreed = () if compression is None else ("permessage-deflate; server_no_context_takeover",)
            assert ws.extensions == ws.response.extensions == agreed


@promise
async def test_repr_has_flavour_url_and_state_without_secrets(flavour: Flavour, peer: Peer) -> None:
    url = f"{peer.url.replace('//', '//user:secret@')}chat?mail=me@example.com&token=secret"
    ws = await flavour.connect(url, **peer.options())
    seen = await flavour.seen(ws)
    name = flavour.effect().name
    assert repr(ws) == repr(seen) == f"<{name}.WebSocket {peer.url}chat?… open>"
    peer.send(wire.close(1001, "bye"))
    peer.hang_up()
    await seen.close()
    assert repr(ws) == f"<{name}.WebSocket {peer.url}chat?… {ws.close_info}>"


@promise
async def test_a_websocket_in_memory_has_no_address_and_no_tls(flavour: Flavour) -> None:
    request = basic_request.get("ws://user:secret@memory/chat?x=1").subprotocol("chat").compress(None)
    client, server = memory_pair(object, request=request, effect=flavour.effect())
    for ws in (client, server):
        assert ws.url == "ws://memory/chat?x=1"
        assert ws.request.subprotocols == ("chat",)
        assert (ws.remote_address, ws.local_address, ws.tls, ws.extensions) == (None, None, None, ())
        assert repr(ws).endswith("WebSocket ws://memory/chat?… open>")
    assert server.request.headers["Authorization"] == request.headers["Authorization"]
