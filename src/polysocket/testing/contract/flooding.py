"""A peer that sends without a pause: time limits end what they limit, and the latest Ping is answered."""

from __future__ import annotations

import contextlib
import itertools

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
