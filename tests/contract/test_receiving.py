"""Receiving at moments that public calls can't produce, in each flavour."""

from __future__ import annotations

import pytest

from polysocket import ConcurrentReceive
from polysocket.testing.contract import Flavour, promise, wire
from polysocket.testing.contract.flavour import connected
from polysocket.testing.contract.places import Peer
from polysocket.testing.contract.wire import Wire


@promise
async def test_a_second_receiver_gets_no_message_that_has_already_arrived(flavour: Flavour, peer: Peer) -> None:
    async with connected(flavour, peer) as ws:
        pinging = flavour.spawn(ws.ping, b"x")
        assert await flavour.call(peer.frame) == Wire(wire.PING, b"x")
        peer.send(wire.encode(wire.TEXT, "a") + wire.encode(wire.PONG, b"x"))
        await pinging.result()
        ws._session.begin_receiving()  # a first receiver that has not taken the message yet
        with pytest.raises(ConcurrentReceive):
            await ws.receive_text()
        ws._session.receiver.is_receiving = False
        assert await ws.receive_text() == "a"
