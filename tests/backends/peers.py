"""Bytes that a scripted peer sends, and frames that it reads."""

from __future__ import annotations

from polysocket.testing.contract import wire
from polysocket.testing.contract.places import Peer
from polysocket.testing.contract.wire import Wire


def text(payload: str, *, final: bool = True) -> bytes:
    """Return a text frame as bytes."""
    return wire.encode(wire.TEXT, payload, final=final)


def read_to_close(peer: Peer) -> list[Wire]:
    """Return the client's frames up to its Close, then end the connection."""
    frames = [peer.frame()]
    while frames[-1].opcode != wire.CLOSE:
        frames.append(peer.frame())
    peer.hang_up()
    return frames
