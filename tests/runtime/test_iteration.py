"""Iteration over messages, and over the parts of one, with each flavour's own websocket; and messages in parts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from polysocket import Binary, ReceiveTimeout, Text
from polysocket.testing import NothingPrepared, WebSocketStub
from tests.runtime.flavours import Flavour, async_flavours, every_flavour, flavours

flavours_by_name = {each.id: each for each in flavours + async_flavours}
only_threaded = pytest.mark.parametrize("flavour", [flavours_by_name.pop("threaded")])
with_iteration = pytest.mark.parametrize("flavour", flavours_by_name.values())


def websocket(flavour: Flavour, *incoming: Any) -> Any:
    return WebSocketStub.with_initial_incoming(incoming).then_wait().build(flavour.tag)


def collected(flavour: Flavour, iterate: Callable[[], Any], received: list[str | bytes]) -> None:
    """Append what an iteration yields, in the way of the flavour."""
    if not flavour.is_async:
        received.extend(iterate())
        return

    async def program() -> None:
        async for item in iterate():
            received.append(item)  # noqa: PERF401 - those before an error are kept, too

    flavour.result(program)


@with_iteration
def test_messages_has_a_limit_for_idle_time(flavour: Flavour) -> None:
    received: list[str | bytes] = []
    ws = websocket(flavour, "a", b"b")
    with pytest.raises(ReceiveTimeout):
        collected(flavour, lambda: ws.messages(timeout=0.05), received)
    assert received == ["a", b"b"]


@with_iteration
def test_a_message_is_received_part_by_part(flavour: Flavour) -> None:
    received: list[str | bytes] = []
    ws = websocket(flavour, Text("a", final=False), Text("b"), Binary(b"c"))
    collected(flavour, ws.receive_fragments, received)
    assert received == ["a", "b"]
    collected(flavour, ws.receive_fragments, received)
    assert received == ["a", "b", b"c"]


@only_threaded
def test_iteration_is_refused_if_calls_return_futures(flavour: Flavour) -> None:
    ws = websocket(flavour)
    for iterate, method in ((ws.messages, "receive_message"), (ws.receive_fragments, "receive_data_frame")):
        with pytest.raises(TypeError, match=rf"has no iteration: call {method}\(\) repeatedly$"):
            iterate()


@with_iteration
@pytest.mark.parametrize("timeout", ["1", float("nan")])
def test_a_wrong_timeout_is_refused_at_once(flavour: Flavour, timeout: Any) -> None:
    ws = websocket(flavour)
    for iterate in (ws.messages, ws.receive_fragments):
        with pytest.raises(ValueError, match="timeout is a number of seconds"):
            iterate(timeout=timeout)


@every_flavour
def test_json_and_parts_reach_a_stub(flavour: Flavour) -> None:
    sent: list[Any] = []

    def answer(frame: Any) -> Iterable[str]:
        sent.append(frame)
        return ['{"answer": 1}'] if frame.final else []

    ws = WebSocketStub().then_respond(answer).build(flavour.tag)
    flavour.result(lambda: ws.send_json([1]))
    assert flavour.result(ws.receive_json) == {"answer": 1}
    flavour.result(lambda: ws.send_fragments(["a", "b"], timeout=5))
    assert flavour.result(lambda: ws.receive_json(timeout=5)) == {"answer": 1}
    flavour.result(lambda: ws.send_text("c", compress=False))
    assert [(frame.payload, frame.final) for frame in sent] == [
        ("[1]", True),
        ("a", False),
        ("b", False),
        ("", True),
        ("c", True),
    ]


@every_flavour
def test_batches_reach_a_stub(flavour: Flavour) -> None:
    def answer(frame: Any) -> Iterable[Any]:
        if frame.payload == "wrong":
            raise LookupError("on purpose")
        return [frame, Text("part ", final=False), Text("two")]

    ws = WebSocketStub.with_initial_incoming(["first"]).then_respond(answer).build(flavour.tag)
    assert flavour.result(lambda: ws.receive_many(timeout=5)) == ["first"]
    flavour.result(lambda: ws.send_many(["a", b"b"]))
    assert flavour.result(lambda: ws.receive_many(max=3)) == ["a", "part two", b"b"]
    assert flavour.result(ws.receive_many) == ["part two"]
    with pytest.raises(NothingPrepared, match="no message is left to be received"):
        flavour.result(ws.receive_many)
    with pytest.raises(LookupError) as caught:
        flavour.result(lambda: ws.send_many(["wrong"]))
    assert caught.value.__notes__ == ["send_many() has sent 1 of 1 messages"]
