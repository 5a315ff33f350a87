"""Large payloads, received into their own buffer or from a view, compared with wsproto."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st
from wsproto import ConnectionType

from polysocket._core.decoder import LARGE
from polysocket.frames import Binary, Ping, Text
from tests.connections import CLIENT, SERVER, connect
from tests.examples import examples
from tests.oracle import compare

roles = st.sampled_from([CLIENT, SERVER])
sizes = st.sampled_from([0, 1, 125, LARGE - 1, LARGE, LARGE + 1, 65536, 3 * LARGE + 70_001])
messages = st.lists(st.tuples(st.sampled_from("tbp"), st.lists(sizes, min_size=1, max_size=3)), min_size=1, max_size=4)


def wire(role: ConnectionType, compressed: bool, messages: list[tuple[str, list[int]]]) -> bytes:
    """Return what the peer sends: messages as the sizes of their fragments, or Pings."""
    peer = connect(SERVER if role is CLIENT else CLIENT, compressed=compressed)
    sent = b""
    for kind, fragments in messages:
        for number, size in enumerate(fragments):
            is_last = number == len(fragments) - 1
            if kind == "p":
                sent += peer.send(Ping(b"ping"))
            elif kind == "t":
                text = ("naïve €" * size)[:size]
                sent += peer.send(Text(text, is_last), number > 0)
            else:
                sent += peer.send(Binary((bytes(range(251)) * size)[:size], is_last), number > 0)
    return sent


@examples(150)
@given(roles, st.booleans(), messages, st.lists(st.integers(0, 2**20), max_size=8), st.booleans())
@example(CLIENT, False, [("b", [65536]), ("b", [65536])], [4], True)
@example(CLIENT, False, [("b", [LARGE, 65536]), ("t", [65536])], [20, 60_000, 90_000], False)
def test_they_are_read_as_wsproto_reads_them(
    role: ConnectionType, compressed: bool, messages: list[tuple[str, list[int]]], cuts: list[int], takes: bool
) -> None:
    data = wire(role, compressed, messages)
    places = sorted(cut % (len(data) + 1) for cut in cuts)
    compare(role, compressed, data, places, takes, reads_views=True)


@given(st.binary(min_size=1, max_size=40), st.integers(0, 60))
def test_bytes_that_are_not_valid_frames_are_judged_as_without_views(odd: bytes, cut: int) -> None:
    data = wire(CLIENT, False, [("b", [65536])]) + odd + bytes(LARGE)
    compare(CLIENT, False, data, [cut], True, reads_views=True)


def test_a_message_over_the_limit_is_refused_before_it_is_buffered() -> None:
    connection = connect(CLIENT, LARGE)
    connection.reads_views = True
    connection.receive(wire(CLIENT, False, [("b", [LARGE])]))
    assert connection.failure is None
    data = wire(CLIENT, False, [("b", [LARGE + 1])])
    connection.receive(data[:10])
    assert connection.failure is not None
    assert not connection.has_room
