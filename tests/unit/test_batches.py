"""A batch is one write, unless it is large; and whatever interrupts it says how many messages were sent."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from polysocket import Asyncio, Blocking, ConnectionLost
from polysocket._core.batch import MAX_BATCH, batches, whole_messages
from polysocket._core.frame_queue import FRAME_COST
from polysocket.frames import Binary, Text
from polysocket.observers.observation import payload_size
from polysocket.testing import Faults, memory_pair
from polysocket.testing.memory import MemoryStream

LARGE = [bytes([number]) * 100_000 for number in range(20)]


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The sizes of what is written."""
    sizes: list[int] = []
    write = MemoryStream.write

    def count(self: MemoryStream, data: bytes) -> None:
        sizes.append(len(data))
        write(self, data)

    with monkeypatch.context() as patch:
        patch.setattr(MemoryStream, "write", count)
        yield sizes


@pytest.mark.parametrize(("messages", "expected"), [(1, 1), (1000, 1), (3000, 2)])
def test_a_batch_is_one_write_and_a_large_one_a_few(writes: list[int], messages: int, expected: int) -> None:
    sent = [str(number) for number in range(messages)]
    with memory_pair(Blocking) as (client, server):
        client.send_many(sent)
        assert len(writes) == expected
        received: list[str | bytes] = []
        while len(received) < messages:
            received += server.receive_many()
        assert received == sent


def test_a_batch_that_may_not_be_sent_and_an_empty_one_write_nothing(writes: list[int]) -> None:
    wrong: Any = ["a", 5]
    with memory_pair(Blocking) as (client, _):
        with pytest.raises(ValueError, match="a message is a str or bytes, not int"):
            client.send_many(wrong)
        client.send_many([])
        assert writes == []


def test_batches_are_bounded_in_bytes_and_messages() -> None:
    small = whole_messages(["a"] * 10_000)
    for batch in (found := list(batches(small))):
        assert sum(len(message.payload) + FRAME_COST for message in batch.messages) <= MAX_BATCH
    assert len(found) == 10_000 * (FRAME_COST + 1) // MAX_BATCH + 1
    wide = whole_messages(["😀" * 1000] * 100)
    for batch in batches(wide):
        assert sum(payload_size(message) for message in batch.messages) <= MAX_BATCH
    large = whole_messages([bytes(MAX_BATCH), "b", bytes(MAX_BATCH * 2), "c"])
    assert [batch.messages for batch in batches(large)] == [[message] for message in large]


def test_a_buffer_in_a_batch_may_be_used_again_at_once() -> None:
    buffer = bytearray(b"a")
    messages: list[Any] = [buffer, "b"]
    frames = whole_messages(messages)
    buffer[:] = b"changed"
    assert frames == [Binary(b"a"), Text("b")]


def test_a_closed_buffer_in_a_batch_is_named() -> None:
    view: Any = memoryview(b"a")
    view.release()
    with pytest.raises(ValueError, match=r"^messages\[1\] can't be sent: a Binary frame's payload can't be read: "):
        whole_messages([b"a", view])


def test_the_note_of_a_cancellation_says_how_many_messages_were_sent() -> None:
    async def main() -> None:
        async with memory_pair(Asyncio, to_server=Faults(room=1000)) as (client, server):
            sending = asyncio.ensure_future(client.send_many(LARGE))
            await asyncio.sleep(0)
            sending.cancel()
            with pytest.raises(asyncio.CancelledError) as caught:
                await sending
            assert caught.value.__notes__ == ["send_many() has sent 2 of 20 messages"]
            assert [await server.receive_binary() for _ in range(2)] == LARGE[:2]

    asyncio.run(main())


def test_the_error_of_a_lost_connection_says_how_many_messages_were_sent_before() -> None:
    with memory_pair(Blocking, to_server=Faults(cut_after=700_000)) as (client, _):
        with pytest.raises(ConnectionLost, match=r"\(8 messages were handed to the network before\)$") as caught:
            client.send_many(LARGE)
        assert caught.value.messages_sent == 8
