"""The strategies: their values can be sent, arrive as they were sent, and shrink to the simplest."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import find, given
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from wsproto import ConnectionType

from polysocket import Binary, Blocking, Close, CloseCode, Frame, Ping, Pong, Text
from polysocket._core.connection import Connection
from polysocket.frames import join_fragments
from polysocket.testing import Faults, WebSocketStub, memory_pair
from polysocket.testing.strategies import (
    chunked,
    close_codes,
    closes,
    data_frames,
    fragmented,
    frames,
    messages,
)


def arrived(sent: Sequence[Frame | Close], chunks: list[bytes] | None = None) -> list[Frame | Close]:
    """Return the frames that a server receives if a client sends these, in these chunks of bytes."""
    server = Connection(ConnectionType.SERVER)
    for chunk in [wire(sent)] if chunks is None else chunks:
        server.receive(chunk)
    return list(server.queue)


def wire(sent: Sequence[Frame | Close]) -> bytes:
    client = Connection(ConnectionType.CLIENT)
    return b"".join(
        client.send(frame, is_continuation=client.open_message and isinstance(frame, Text | Binary)) for frame in sent
    )


@given(st.lists(frames()))
def test_frames_can_be_sent(sent: list[Frame]) -> None:
    assert arrived(sent) == sent


@given(data_frames())
def test_data_frames_are_whole_messages(frame: Text | Binary) -> None:
    assert frame.final
    assert arrived([frame]) == [frame]


@given(closes())
def test_closes_can_be_sent(close: Close) -> None:
    assert arrived([close]) == [close]


@given(close_codes())
def test_close_codes_can_be_sent(code: int) -> None:
    assert arrived([Close(code)]) == [Close(code)]


@given(st.data(), messages())
def test_the_fragments_of_a_message_join_to_the_message(data: st.DataObject, message: str | bytes) -> None:
    fragments = data.draw(fragmented(message))
    assert join_fragments(fragments) == message
    assert [fragment.final for fragment in fragments] == [False] * (len(fragments) - 1) + [True]
    assert arrived(fragments) == fragments


@given(st.data(), st.lists(frames(max_size=50)))
def test_the_chunks_of_bytes_join_to_the_bytes(data: st.DataObject, sent: list[Frame]) -> None:
    chunks = data.draw(chunked(wire(sent)))
    assert all(chunks)
    assert arrived(sent, chunks) == sent


@pytest.mark.parametrize(
    ("strategy", "simplest"),
    [
        (messages(), ""),
        (data_frames(), Text("")),
        (frames(), Text("")),
        (closes(), Close(1000)),
        (close_codes(), 1000),
        (fragmented("message"), [Text("message")]),
        (fragmented(b"message"), [Binary(b"message")]),
        (chunked(b"bytes"), [b"bytes"]),
        (chunked(b""), []),
    ],
    ids=lambda value: value if isinstance(value, SearchStrategy) else "",
)
def test_a_failure_shrinks_to_the_simplest_value(strategy: SearchStrategy[Any], simplest: object) -> None:
    assert find(strategy, lambda _: True) == simplest


def is_of(kind: type[Frame], frame: Frame) -> bool:
    return isinstance(frame, kind)


def test_every_kind_of_value_is_generated() -> None:
    for kind in (Text, Binary, Ping, Pong):
        find(frames(), functools.partial(is_of, kind))
    assert find(fragmented("ab"), lambda fragments: len(fragments) > 2) == [
        Text("", final=False),
        Text("", final=False),
        Text("ab"),
    ]
    assert find(chunked(b"abc"), lambda chunks: len(chunks) == 3) == [b"a", b"b", b"c"]
    assert find(closes(), lambda close: close.code == CloseCode.NO_STATUS_RECEIVED).reason == ""
    assert find(closes(), lambda close: not close.reason.isascii()).reason == "\x80"


@given(st.lists(frames(), max_size=5), st.lists(st.integers(1, 20), max_size=5).map(tuple))
def test_the_values_work_with_stubs_and_faults(prepared: list[Frame], pieces: tuple[int, ...]) -> None:
    with memory_pair(Blocking, to_client=Faults(pieces=pieces)) as (client, server):
        for frame in prepared:
            server.send(frame)
        assert [client.receive() for _ in prepared] == prepared
    ws = WebSocketStub.with_initial_incoming([*prepared, Close()]).build(Blocking)
    assert [ws.receive() for _ in prepared] == prepared
    ws.close()
