"""Frames as values: frozen, comparable, matchable; and how a Close reads."""

from __future__ import annotations

import copy
import inspect
import pickle
import pydoc
import re
import sys

import pytest

from polysocket.frames import Binary, Close, CloseCode, DataFrame, Frame, Ping, Pong, Text, join_fragments

EACH: list[Frame | Close] = [
    Text("a"),
    Text("a", final=False),
    Binary(b"a"),
    Binary(b"a", final=False),
    Ping(b"a"),
    Pong(b"a"),
    Close(1001, "a"),
]
each = pytest.mark.parametrize("frame", EACH, ids=repr)


def parts(frame: Frame | Close) -> tuple[object, ...]:
    match frame:
        case Text(payload, final) | Binary(payload, final):
            return payload, final
        case Ping(payload) | Pong(payload):
            return (payload,)
        case Close(code, reason):
            return code, reason


def test_frames_can_be_matched() -> None:
    assert [parts(frame) for frame in EACH] == [
        ("a", True),
        ("a", False),
        (b"a", True),
        (b"a", False),
        (b"a",),
        (b"a",),
        (1001, "a"),
    ]


@each
def test_a_frame_can_be_rebuilt_from_its_parts(frame: Frame | Close) -> None:
    assert type(frame)(*parts(frame)) == frame  # type: ignore[arg-type]


@each
def test_a_frame_is_equal_only_to_the_same_kind_and_content(frame: Frame | Close) -> None:
    assert [other for other in EACH if other == frame] == [frame]
    assert len({frame, copy.copy(frame)}) == 1


@each
def test_a_frame_is_immutable(frame: Frame | Close) -> None:
    for name in frame.__match_args__:
        with pytest.raises(AttributeError):
            setattr(frame, name, None)
        with pytest.raises(AttributeError):
            delattr(frame, name)
    with pytest.raises(AttributeError):
        frame.other = None  # type: ignore[union-attr]
    assert not hasattr(frame, "__dict__")


@each
def test_a_frame_survives_pickling_and_copying(frame: Frame | Close) -> None:
    assert pickle.loads(pickle.dumps(frame)) == frame
    assert copy.copy(frame) == copy.deepcopy(frame) == frame


@each
def test_a_frame_can_be_made_again_with_other_values(frame: Frame | Close) -> None:
    assert frame.__replace__() == frame
    for name in frame.__match_args__:
        other = frame.__replace__(**{name: None})
        assert type(other) is type(frame)
        assert [each for each in frame.__match_args__ if getattr(other, each) != getattr(frame, each)] == [name]
    with pytest.raises(TypeError):
        frame.__replace__(other=None)
    if sys.version_info >= (3, 13):
        assert copy.replace(Text("a"), final=False) == Text("a", final=False)


SIGNATURES = {
    Text: "(payload: str, final: bool = True)",
    Binary: "(payload: bytes, final: bool = True)",
    Ping: "(payload: bytes = b'')",
    Pong: "(payload: bytes = b'')",
    Close: "(code: int = <CloseCode.NORMAL_CLOSURE: 1000>, reason: str = '')",
}


@pytest.mark.parametrize("kind", SIGNATURES)
def test_the_signature_of_a_frame_has_types_in_both_builds(kind: type[Frame | Close]) -> None:
    assert str(inspect.signature(kind)) == SIGNATURES[kind]
    assert list(inspect.signature(kind).parameters) == list(kind.__match_args__)
    described = pydoc.plain(pydoc.render_doc(kind))
    assert f"{kind.__name__}{SIGNATURES[kind]}" in described
    assert re.search(r"An? \w+.* \(RFC 6455 §5\.\d", described)


def test_frames_have_defaults_for_plain_use() -> None:
    assert Text("a").final
    assert Binary(b"a").final
    assert Ping() == Ping(b"")
    assert Pong() == Pong(b"")
    assert Close() == Close(1000, "")


def test_frames_of_different_kinds_are_not_equal() -> None:
    alike: list[Frame] = [Ping(b""), Pong(b""), Text(""), Binary(b"")]
    assert len(set(alike)) == 4


@pytest.mark.parametrize(
    ("code", "number"),
    [
        (CloseCode.NORMAL_CLOSURE, 1000),
        (CloseCode.GOING_AWAY, 1001),
        (CloseCode.PROTOCOL_ERROR, 1002),
        (CloseCode.UNSUPPORTED_DATA, 1003),
        (CloseCode.NO_STATUS_RECEIVED, 1005),
        (CloseCode.ABNORMAL_CLOSURE, 1006),
        (CloseCode.INVALID_PAYLOAD, 1007),
        (CloseCode.POLICY_VIOLATION, 1008),
        (CloseCode.MESSAGE_TOO_BIG, 1009),
        (CloseCode.MANDATORY_EXTENSION, 1010),
        (CloseCode.INTERNAL_ERROR, 1011),
        (CloseCode.SERVICE_RESTART, 1012),
        (CloseCode.TRY_AGAIN_LATER, 1013),
        (CloseCode.BAD_GATEWAY, 1014),
        (CloseCode.TLS_HANDSHAKE_FAILED, 1015),
    ],
)
def test_a_close_code_is_equal_to_its_number(code: CloseCode, number: int) -> None:
    """RFC 6455 §7.4.1; 1012 to 1014 are in the IANA registry."""
    assert code == number
    assert Close(code) == Close(number)
    assert hash(Close(code)) == hash(Close(number))


@pytest.mark.parametrize(
    ("close", "text"),
    [
        (Close(), "1000 (normal closure)"),
        (Close(1001, "restart"), "1001 (going away) 'restart'"),
        (Close(CloseCode.GOING_AWAY, "restart"), "1001 (going away) 'restart'"),
        (Close(CloseCode.NO_STATUS_RECEIVED), "1005 (no status received)"),
        (Close(1015), "1015 (tls handshake failed)"),
        (Close(4000), "4000"),
        (Close(3999, "it's\nover"), '3999 "it\'s\\nover"'),
    ],
    ids=repr,
)
def test_the_str_of_a_close_is_its_code_name_and_reason(close: Close, text: str) -> None:
    assert str(close) == text


@pytest.mark.parametrize(
    ("fragments", "message"),
    [
        ([Text("")], ""),
        ([Text("a")], "a"),
        ([Text("a", final=False), Text("", final=False), Text("𝄞")], "a𝄞"),
        ([Binary(b"")], b""),
        ([Binary(b"a", final=False), Binary(b"b")], b"ab"),
    ],
)
def test_fragments_are_joined_into_their_message(fragments: list[DataFrame], message: str | bytes) -> None:
    assert join_fragments(fragments) == message
