"""A server that violates RFC 6455 or RFC 7692 after the upgrade, sends too much, or ends the connection.

Each test checks the error's class, a text that names the violation, the Close that the server receives, and that
nothing stays open.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

import pytest

from polysocket import (
    Async,
    Binary,
    Close,
    CloseCause,
    CloseInfo,
    ConnectionLost,
    MessageTooBig,
    ProtocolError,
    Side,
    Text,
    UnexpectedFrame,
    WebSocket,
    WebSocketClosed,
    polymorphic,
)
from tests.bad_input.judgement import says
from tests.bad_input.peer import SWITCHING, Conversation, Peer, Script, frame, upgrading
from tests.bad_input.programs import receive_all
from tests.interop.flavours import Flavour

CONTINUATION, TEXT, BINARY, CLOSE, PING = 0x0, 0x1, 0x2, 0x8, 0x9
FIN, RSV1, RSV2, RSV3 = 0x80, 0x40, 0x20, 0x10
DEFLATE = b"Sec-WebSocket-Extensions: permessage-deflate\r\n"


def deflated(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-15)
    return (stream.compress(data) + stream.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\x00\x00\xff\xff")


@dataclass(frozen=True)
class Violation:
    """Bytes of a server, the close code for them, and parts of the error's text."""

    sent: bytes
    code: int
    parts: tuple[str, ...]
    fields: bytes = b""


VIOLATIONS = {
    "a masked frame": Violation(frame(TEXT, b"hi", mask=b"abcd"), 1002, ("mask",)),
    "a masked control frame": Violation(frame(PING, mask=b"abcd"), 1002, ("mask",)),
    "opcode 3": Violation(frame(0x3), 1002, ("opcode", "3")),
    "opcode 11": Violation(frame(0xB), 1002, ("opcode", "0xb")),
    "RSV1 without compression": Violation(frame(TEXT, b"hi", first=FIN | RSV1), 1002, ("reserved bit",)),
    "RSV2": Violation(frame(TEXT, b"hi", first=FIN | RSV2), 1002, ("reserved bit",)),
    "RSV3": Violation(frame(PING, first=FIN | RSV3), 1002, ("reserved bit",)),
    "RSV2 with compression": Violation(frame(TEXT, b"hi", first=FIN | RSV2), 1002, ("reserved bit",), DEFLATE),
    "RSV1 on a Ping": Violation(frame(PING, first=FIN | RSV1), 1002, ("RSV1", "PING"), DEFLATE),
    "RSV1 on a later fragment": Violation(
        frame(TEXT, deflated(b"a"), first=RSV1) + frame(CONTINUATION, b"b", first=FIN | RSV1),
        1002,
        ("RSV1", "CONTINUATION"),
        DEFLATE,
    ),
    "text that is not UTF-8": Violation(frame(TEXT, b"caf\xe9"), 1007, ("text", "UTF-8")),
    "text that ends within a character": Violation(frame(TEXT, b"caf\xc3"), 1007, ("text", "UTF-8")),
    "text that is not UTF-8 after inflating": Violation(
        frame(TEXT, deflated(b"caf\xe9"), first=FIN | RSV1), 1007, ("text", "UTF-8"), DEFLATE
    ),
    "a long Ping": Violation(frame(PING, b"x" * 126), 1002, ("control frame", "125")),
    "a long Close": Violation(frame(CLOSE, struct.pack("!H", 1000) + b"x" * 124), 1002, ("control frame", "125")),
    "a Ping in fragments": Violation(frame(PING, b"x", first=0), 1002, ("fragment", "control frame")),
    "a Close with code 999": Violation(frame(CLOSE, struct.pack("!H", 999)), 1002, ("Close", "code", "999")),
    "a Close with code 1005": Violation(frame(CLOSE, struct.pack("!H", 1005)), 1002, ("Close", "code", "1005")),
    "a Close with code 2000": Violation(frame(CLOSE, struct.pack("!H", 2000)), 1002, ("Close", "code", "2000")),
    "a Close with half a code": Violation(frame(CLOSE, b"\x03"), 1002, ("Close", "1 byte")),
    "a Close with a reason that is not UTF-8": Violation(
        frame(CLOSE, struct.pack("!H", 1000) + b"\xff"), 1007, ("Close", "reason", "UTF-8")
    ),
    "a continuation without a message": Violation(frame(CONTINUATION, b"x"), 1002, ("continuation",)),
    "a message within another": Violation(
        frame(TEXT, b"a", first=0) + frame(TEXT, b"b"), 1002, ("continuation", "text")
    ),
    "a length in more bytes than it needs": Violation(b"\x82\x7e\x00\x05hello", 1002, ("length", "2 bytes")),
    "a length of more than 63 bits": Violation(b"\x82\x7f" + b"\xff" * 8, 1002, ("length",)),
    "corrupt compressed data": Violation(
        frame(TEXT, b"\xff" * 9, first=FIN | RSV1), 1007, ("deflate", "corrupt"), DEFLATE
    ),
}


@pytest.mark.parametrize("violation", VIOLATIONS.values(), ids=VIOLATIONS)
def test_a_protocol_violation_is_named_and_answered_with_a_close(flavour: Flavour, violation: Violation) -> None:
    with Peer(upgrading(violation.sent, violation.fields)) as peer, pytest.raises(ProtocolError) as caught:
        flavour.open(peer.url, receive_all)
    error = caught.value
    assert isinstance(error, WebSocketClosed)
    assert error.close is None
    info = error.close_info
    assert info.sent is not None
    assert info == CloseInfo(Side.LOCAL, CloseCause.PROTOCOL_ERROR, None, info.sent, info.detail)
    assert info.code == 1006
    assert peer.conversation.close_received == (violation.code, info.sent.reason)
    says(error, "protocol", *violation.parts)
    assert "CloseReason" not in repr(error)  # a name of wsproto


@pytest.mark.parametrize(
    "sent", [frame(0x3), frame(TEXT, b"caf\xe9"), frame(CLOSE, b"\x03")], ids=["opcode", "UTF-8", "Close"]
)
def test_the_error_names_a_violation_only_once(flavour: Flavour, sent: bytes) -> None:
    with Peer(upgrading(sent)) as peer, pytest.raises(ProtocolError) as caught:
        flavour.open(peer.url, receive_all)
    assert str(caught.value).count(caught.value.close_info.detail) == 1


# Messages that are too big

TOO_BIG = {
    "in one frame": (frame(BINARY, b"x" * 1001), b""),
    "announced only": (frame(BINARY, b"x" * 1_000_000)[:100], b""),
    "in fragments": (frame(BINARY, b"x" * 600, first=0) + frame(CONTINUATION, b"x" * 600), b""),
    "compressed": (frame(BINARY, deflated(b"x" * 100_000), first=FIN | RSV1), DEFLATE),
}


@pytest.mark.parametrize(("sent", "fields"), TOO_BIG.values(), ids=TOO_BIG)
def test_a_message_that_is_too_big_names_the_limit_and_how_to_raise_it(
    flavour: Flavour, sent: bytes, fields: bytes
) -> None:
    with Peer(upgrading(sent, fields)) as peer, pytest.raises(MessageTooBig) as caught:
        flavour.open(peer.url, receive_all, max_message_size=1000)
    error = caught.value
    assert error.limit == 1000
    assert error.close is None
    assert error.close_info.initiator is Side.LOCAL
    assert error.close_info.cause is CloseCause.LIMIT
    close = peer.conversation.close_received
    assert close is not None
    assert close[0] == 1009
    says(error, "1000", "max_message_size")


# The end


def ending_after(sent: bytes, end: str) -> Script:
    def script(conversation: Conversation) -> None:
        conversation.answer(SWITCHING + b"\r\n" + sent)
        if end == "reset":
            conversation.reset()
        else:
            conversation.end_sending()

    return script


@pytest.mark.parametrize("sent", [b"", frame(TEXT, b"hello")[:4]], ids=["between frames", "within a frame"])
def test_eof_without_a_close_is_a_lost_connection(flavour: Flavour, sent: bytes) -> None:
    with Peer(ending_after(sent, "end")) as peer, pytest.raises(ConnectionLost) as caught:
        flavour.open(peer.url, receive_all)
    assert caught.value.close is None
    assert caught.value.close_info == CloseInfo(
        Side.REMOTE, CloseCause.NETWORK, detail="the connection ended without a Close"
    )
    assert str(caught.value) == (
        "closed by the peer because of the network (the connection ended without a Close); no Close received, none sent"
    )
    assert caught.value.__cause__ is None


def test_a_reset_connection_has_the_error_of_the_system_as_its_cause(flavour: Flavour) -> None:
    with Peer(ending_after(b"", "reset")) as peer, pytest.raises(ConnectionLost) as caught:
        flavour.open(peer.url, receive_all)
    says(caught.value, "closed by the peer because of the network", "reset")
    assert caught.value.close_info.cause is CloseCause.NETWORK
    assert isinstance(caught.value.__cause__, ConnectionResetError)


CLOSES = {
    "1011 with a reason": (
        struct.pack("!H", 1011) + b"oops",
        Close(1011, "oops"),
        "closed by the peer; received 1011 (internal error) 'oops', sent 1011 (internal error)",
    ),
    "4000": (
        struct.pack("!H", 4000),
        Close(4000),
        "closed by the peer; received 4000, sent 4000",
    ),
    "no code": (
        b"",
        Close(1005),
        "closed by the peer; received 1005 (no status received), sent 1005 (no status received)",
    ),
}


@pytest.mark.parametrize(("payload", "close", "text"), CLOSES.values(), ids=CLOSES)
def test_a_receive_after_the_close_of_the_peer_raises_its_code_and_reason(
    flavour: Flavour, payload: bytes, close: Close, text: str
) -> None:
    with Peer(upgrading(frame(CLOSE, payload))) as peer, pytest.raises(WebSocketClosed) as caught:
        flavour.open(peer.url, receive_all)
    assert type(caught.value) is WebSocketClosed
    assert str(caught.value) == text
    assert caught.value.close == close
    assert caught.value.close_info == CloseInfo(Side.REMOTE, CloseCause.CLOSE, close, Close(close.code))


# Valid frames of another kind


@polymorphic
async def ask_for_the_other_kind(ws: WebSocket[Async]) -> tuple[UnexpectedFrame, UnexpectedFrame]:
    with pytest.raises(UnexpectedFrame) as text:
        await ws.receive_binary()
    assert await ws.receive() == Text("a")
    with pytest.raises(UnexpectedFrame) as binary:
        await ws.receive_text_frame()
    assert await ws.receive() == Binary(b"b")
    return text.value, binary.value


def test_a_frame_of_the_other_kind_is_named_and_can_still_be_received(flavour: Flavour) -> None:
    with Peer(upgrading(frame(TEXT, b"a") + frame(BINARY, b"b"))) as peer:
        text, binary = flavour.open(peer.url, ask_for_the_other_kind)
    assert str(text) == ("a Text frame arrived, but a Binary frame was to be received; it can still be received")
    assert str(binary) == ("a Binary frame arrived, but a Text frame was to be received; it can still be received")
