"""A peer that floods: time limits end what they limit, few Pings are answered, and little memory is held."""

from __future__ import annotations

import contextlib
import itertools
import tracemalloc

import pytest

from polysocket import ReceiveTimeout
from polysocket.testing.contract import wire
from polysocket.testing.contract.fixtures import tcp_and_tls
from polysocket.testing.contract.flavour import Flavour, connected, promise
from polysocket.testing.contract.places import Peer

FLOODS = {
    "Pings": [wire.encode(wire.PING, b"x")],
    "Pongs": [wire.encode(wire.PONG, b"x")],
    "fragments": [wire.fragments(wire.TEXT, b"a", b"b")[0], wire.fragments(wire.TEXT, b"a", b"b", b"c")[1]],
}


def flood(peer: Peer, first: bytes, rest: bytes) -> None:
    """Send until the connection ends."""
    with contextlib.suppress(OSError):
        for piece in itertools.chain([first], itertools.repeat(rest * 500)):
            peer.send(piece)


@tcp_and_tls
@pytest.mark.parametrize("kind", FLOODS)
@promise
async def test_a_flood_does_not_outlast_a_time_limit(flavour: Flavour, peer: Peer, kind: str) -> None:
    async with connected(flavour, peer, close_timeout=0.3, max_message_size=None) as ws:
        flooding = flavour.spawn(flavour.call, flood, peer, FLOODS[kind][0], FLOODS[kind][-1])
        for _ in range(3):
            with pytest.raises(ReceiveTimeout):
                await ws.receive_text(timeout=0.1)
        await ws.close()
        await flooding.result()


@promise
async def test_of_many_pings_at_once_the_latest_is_answered_and_not_each(flavour: Flavour, peer: Peer) -> None:
    pings = [wire.encode(wire.PING, str(number)) for number in range(500)]
    async with connected(flavour, peer) as ws:
        peer.send(b"".join(pings) + wire.text("after"))
        assert await ws.receive_text() == "after"
        answers = 1
        while (await flavour.call(peer.frame)).payload != b"499":
            answers += 1
        assert answers < 100


@tcp_and_tls
@promise
async def test_small_fragments_hold_little_more_than_twice_their_bytes(flavour: Flavour, peer: Peer) -> None:
    first, more, _ = wire.fragments(wire.BINARY, b"ab", b"cd", b"")
    sent = first + more * 10_000
    async with connected(flavour, peer, max_message_size=None) as ws:
        tracemalloc.start()
        try:
            receiving = flavour.spawn(ws.receive_binary)
            peer.send(sent)
            pinging = flavour.spawn(ws.ping, b"x")
            while (await flavour.call(peer.frame)).payload != b"x":
                pass
            peer.send(wire.encode(wire.PONG, b"x"))
            await pinging.result()
            held, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert held < 2 * len(sent) + 256 * 1024
        peer.send(wire.fragments(wire.BINARY, b"", b"end")[1])
        assert await receiving.result() == b"ab" + b"cd" * 10_000 + b"end"
