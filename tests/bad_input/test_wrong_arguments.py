"""Frames that may not be sent, and timeouts and arguments that methods can't use; the websocket stays open."""

from __future__ import annotations

import math
import sys
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from polysocket import (
    Async,
    Binary,
    Close,
    InvalidFrame,
    InvalidRequest,
    Ping,
    Pong,
    ReceiveTimeout,
    Text,
    WebSocket,
    WebSocketClosed,
    polymorphic,
)
from tests.bad_input.judgement import says
from tests.bad_input.peer import Conversation, Peer, frame, upgrading
from tests.bad_input.programs import Call, be_refused, nothing
from tests.interop.flavours import Flavour


async def send_in_a_message(ws: WebSocket[Async], *args: Any) -> None:
    """Send something during a fragmented text message, then end that message."""
    await ws.send(Text("a", final=False))
    try:
        await ws.send(*args)
    finally:
        await ws.send(Text("b"), is_continuation=True)


SENDABLE_CODES = "1000 to 1014 as defined, or 3000 to 4999"
SURROGATE = "it has the lone surrogate '\\ud83d'"
WRONG_FRAMES: dict[str, tuple[Call, str]] = {
    "close with 1006": (
        lambda ws: ws.close(1006),
        f"1006 is not a close code that may be sent: {SENDABLE_CODES}",
    ),
    "close with 1015": (
        lambda ws: ws.close(1015),
        f"1015 is not a close code that may be sent: {SENDABLE_CODES}",
    ),
    "close with 999": (lambda ws: ws.close(999), f"999 is not a close code that may be sent: {SENDABLE_CODES}"),
    "close with 2000": (lambda ws: ws.close(2000), f"2000 is not a close code that may be sent: {SENDABLE_CODES}"),
    "close with 5000": (lambda ws: ws.close(5000), f"5000 is not a close code that may be sent: {SENDABLE_CODES}"),
    "close with a str": (lambda ws: ws.close("1000"), f"'1000' is not a close code that may be sent: {SENDABLE_CODES}"),
    "close with a float": (
        lambda ws: ws.close(1000.0),
        f"1000.0 is not a close code that may be sent: {SENDABLE_CODES}",
    ),
    "close with a list": (
        lambda ws: ws.close([1000]),
        f"[1000] is not a close code that may be sent: {SENDABLE_CODES}",
    ),
    "close with None": (lambda ws: ws.close(None), f"None is not a close code that may be sent: {SENDABLE_CODES}"),
    "a Close with 1006": (
        lambda ws: ws.send(Close(1006)),
        f"1006 is not a close code that may be sent: {SENDABLE_CODES}",
    ),
    "a reason of 124 bytes": (
        lambda ws: ws.close(1000, "é" * 62),
        "the reason of a Close holds at most 123 bytes in UTF-8, not 124",
    ),
    "a reason in bytes": (
        lambda ws: ws.close(1000, b"bye"),
        "the reason of a Close is a str, not bytes",
    ),
    "a reason with a lone surrogate": (
        lambda ws: ws.close(1000, "a\ud83d"),
        f"the reason of a Close can't be sent in UTF-8: {SURROGATE}",
    ),
    "a reason without a code": (
        lambda ws: ws.close(1005, "bye"),
        "a Close without a code can't have a reason (RFC 6455 §5.5.1)",
    ),
    "a ping of 126 bytes": (
        lambda ws: ws.ping(b"x" * 126),
        "a Ping holds at most 125 bytes, not 126 (RFC 6455 §5.5)",
    ),
    "a Ping of 126 bytes": (
        lambda ws: ws.send(Ping(b"x" * 126)),
        "a Ping holds at most 125 bytes, not 126 (RFC 6455 §5.5)",
    ),
    "a pong of 126 bytes": (
        lambda ws: ws.pong(b"x" * 126),
        "a Pong holds at most 125 bytes, not 126 (RFC 6455 §5.5)",
    ),
    "a ping of text": (lambda ws: ws.ping("hello"), "a Ping's payload is bytes, not str"),
    "a ping of an int": (lambda ws: ws.ping(5, timeout=1), "a Ping's payload is bytes, not int"),
    "a pong of text": (lambda ws: ws.pong("hello"), "a Pong's payload is bytes, not str"),
    "a Pong of an int": (lambda ws: ws.send(Pong(5)), "a Pong's payload is bytes, not int"),  # type: ignore[arg-type]
    "a continuation without a message": (
        lambda ws: ws.send(Text("b"), is_continuation=True),
        "there is no message to continue: none was started with final=False",
    ),
    "a message within another": (
        lambda ws: send_in_a_message(ws, Text("b")),
        "a fragmented message is not finished yet: continue it with is_continuation=True",
    ),
    "text that continues as binary": (
        lambda ws: send_in_a_message(ws, Binary(b"b"), True),
        "a message of Text frames can't be continued with a Binary frame",
    ),
    "text with a lone surrogate": (
        lambda ws: ws.send_text("a\ud83d"),
        f"the text can't be sent in UTF-8: {SURROGATE}",
    ),
    "text in bytes": (lambda ws: ws.send_text(b"a"), "a Text frame's payload is a str, not bytes"),
    "text that is None": (lambda ws: ws.send_text(None), "a Text frame's payload is a str, not NoneType"),
    "binary in a str": (lambda ws: ws.send_binary("a"), "a Binary frame's payload is bytes, not str"),
    "binary in an int": (lambda ws: ws.send_binary(5), "a Binary frame's payload is bytes, not int"),
    "binary in a list": (lambda ws: ws.send_binary([5]), "a Binary frame's payload is bytes, not list"),
    "a str as a frame": (
        lambda ws: ws.send("a"),
        "str is not a frame: send a Text, Binary, Ping, Pong or Close; send_text() takes a str",
    ),
    "None as a frame": (
        lambda ws: ws.send(None),
        "NoneType is not a frame: send a Text, Binary, Ping, Pong or Close",
    ),
}


@pytest.mark.parametrize(("call", "text"), WRONG_FRAMES.values(), ids=WRONG_FRAMES)
def test_a_frame_that_may_not_be_sent_is_refused_and_no_part_of_it_is_sent(
    flavour: Flavour, call: Call, text: str
) -> None:
    with Peer(upgrading()) as peer:
        error = flavour.open(peer.url, be_refused, call, InvalidFrame)
    assert str(error) == text
    assert isinstance(error, ValueError)
    sent = peer.conversation.frames_received
    assert sent[-1] == (8, b"\x03\xe8")  # the Close of the ``with`` block
    assert b"".join(payload for _, payload in sent[:-1]) in (b"", b"ab")  # the message that the mistake interrupted


def named(value: object) -> str:
    return f"{type(value).__name__} of many digits" if isinstance(value, int) and abs(value) > 10**9 else repr(value)


WRONG_TIMEOUTS = [math.nan, -math.nan, "1", "abc", b"1", True, False, 1j, [1], (), {}, object, Decimal(1), timedelta(1)]
RECEIVING = [
    "receive",
    "receive_data_frame",
    "receive_text_frame",
    "receive_binary_frame",
    "receive_text",
    "receive_binary",
    "receive_message",
]


@polymorphic
async def be_refused_in_each_state(ws: WebSocket[Async], method: str, timeout: Any) -> set[str]:
    """Call with nothing buffered, with a message, a fragment and after the Close; return the texts of the errors."""
    texts: set[str] = set()

    async def refused() -> None:
        with pytest.raises(InvalidRequest) as caught:
            await getattr(ws, method)(timeout=timeout)
        texts.add(str(caught.value))

    await refused()
    await ws.ping()  # From now on all that the peer has sent is buffered.
    await refused()
    assert await ws.receive_data_frame() == Text("a")
    await refused()
    assert await ws.receive_data_frame() == Text("b", final=False)
    with pytest.raises(WebSocketClosed):
        await ws.receive_text()
    await refused()
    return texts


@pytest.mark.parametrize("timeout", [*WRONG_TIMEOUTS, 10**400, -(10**400), 10**5000], ids=named)
@pytest.mark.parametrize("method", [*RECEIVING, "ping"])
def test_a_timeout_that_is_not_a_number_is_refused_alike_in_each_state(
    flavour: Flavour, method: str, timeout: object
) -> None:
    def talk(conversation: Conversation) -> None:
        upgrading()(conversation)
        while not (pings := [payload for opcode, payload in conversation.frames_received if opcode == 9]):
            conversation.receive_more()
        frames = frame(1, b"a") + frame(1, b"b", first=0) + frame(10, pings[0]) + frame(8, b"\x03\xe8")
        conversation.send(frames)

    with Peer(talk) as peer:
        (text,) = flavour.open(peer.url, be_refused_in_each_state, method, timeout)
    shown = "an int that large" if type(timeout) is int else repr(timeout)
    assert text == f"timeout is a number of seconds, or None for no limit; not {shown}"


@pytest.mark.parametrize("timeout", [*WRONG_TIMEOUTS, 10**400, 0, -1, -math.inf], ids=named)
@pytest.mark.parametrize("option", ["open_timeout", "close_timeout"])
def test_a_timeout_of_connect_that_is_not_a_number_above_0_is_refused(
    flavour: Flavour, option: str, timeout: object
) -> None:
    with pytest.raises(InvalidRequest, match=f"^{option} "):
        flavour.open("ws://localhost:1/", nothing, **{option: timeout})  # type: ignore[arg-type]


@pytest.mark.parametrize("method", [*RECEIVING, "ping"])
@pytest.mark.parametrize("timeout", [math.inf, sys.float_info.max, 2**62, 10**300], ids=repr)
def test_a_timeout_may_be_endless(flavour: Flavour, method: str, timeout: float) -> None:
    def answer(conversation: Conversation) -> None:
        upgrading(frame(2 if "binary" in method else 1, b"a"))(conversation)
        while method == "ping" and not conversation.frames_received:
            conversation.receive_more()
        for _, payload in conversation.frames_received:
            conversation.send(frame(10, payload))

    with Peer(answer) as peer:
        assert flavour.open(peer.url, call_method, method, timeout) is not None


@polymorphic
async def call_method(ws: WebSocket[Async], method: str, timeout: float) -> Any:
    """Call a method that waits."""
    return await getattr(ws, method)(timeout=timeout)


@pytest.mark.parametrize("timeout", [0, -1])
@pytest.mark.parametrize("method", ["receive", "receive_text", "ping"])
def test_a_timeout_in_the_past_expires_at_once(flavour: Flavour, method: str, timeout: float) -> None:
    with Peer(upgrading()) as peer:
        error = flavour.open(peer.url, be_refused, lambda ws: getattr(ws, method)(timeout=timeout), ReceiveTimeout)
    says(error, "received", f"within {timeout} seconds")


@pytest.mark.parametrize(
    ("call", "parts"),
    [
        (lambda ws: ws.receive(time_out=1), ("WebSocket.receive()", "'time_out'")),
        (lambda ws: ws.send_text(), ("WebSocket.send_text()", "'text'")),
        (lambda ws: ws.close(1000, "a", "b"), ("WebSocket.close()", "positional argument")),
    ],
    ids=["unknown", "missing", "too many"],
)
def test_the_error_about_wrong_arguments_names_the_method(flavour: Flavour, call: Call, parts: tuple[str, ...]) -> None:
    with Peer(upgrading()) as peer:
        error = flavour.open(peer.url, be_refused, call, TypeError)
    assert all(part in str(error) for part in parts), str(error)
