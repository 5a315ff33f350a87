"""Hypothesis strategies for everything that a websocket carries: frames, messages, fragments, chunks of bytes, Closes.

All their values are valid to send. Only this module of polysocket needs Hypothesis.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TypeVar, overload

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from polysocket._core.validation import MAX_CONTROL_PAYLOAD, SENDABLE
from polysocket.frames import Binary, Close, CloseCode, DataFrame, Frame, Ping, Pong, Text

__all__ = ["chunked", "close_codes", "closes", "data_frames", "fragmented", "frames", "messages"]

M = TypeVar("M", str, bytes)


def messages(*, max_size: int | None = None) -> SearchStrategy[str | bytes]:
    """Generate whole messages: ``str`` and ``bytes`` of at most ``max_size`` characters or bytes."""
    return st.text(max_size=max_size) | st.binary(max_size=max_size)


def data_frames(*, max_size: int | None = None) -> SearchStrategy[DataFrame]:
    """Generate Text and Binary frames, each a whole message; for fragments, there is :func:`fragmented`."""
    return st.builds(Text, st.text(max_size=max_size)) | st.builds(Binary, st.binary(max_size=max_size))


def frames(*, max_size: int | None = None) -> SearchStrategy[Frame]:
    """Generate data frames, Pings and Pongs; for a Close, there is :func:`closes`."""
    payloads = st.binary(max_size=MAX_CONTROL_PAYLOAD)
    return data_frames(max_size=max_size) | st.builds(Ping, payloads) | st.builds(Pong, payloads)


@overload
def fragmented(message: str) -> SearchStrategy[list[Text]]: ...
@overload
def fragmented(message: bytes) -> SearchStrategy[list[Binary]]: ...
@overload
def fragmented(message: str | bytes) -> SearchStrategy[Sequence[DataFrame]]: ...
def fragmented(message: str | bytes) -> SearchStrategy[Sequence[DataFrame]]:
    """Generate the fragments of a message, cut anywhere; some may be empty. Shrinks to one frame."""
    if isinstance(message, str):
        return _cut(message).map(lambda parts: [Text(part, n == len(parts)) for n, part in enumerate(parts, 1)])
    return _cut(message).map(lambda parts: [Binary(part, n == len(parts)) for n, part in enumerate(parts, 1)])


def chunked(data: bytes) -> SearchStrategy[list[bytes]]:
    """Generate chunks of the bytes as a network may deliver them, down to one byte each. Shrinks to one chunk."""
    if not data:
        return st.just([])
    ends = st.sets(st.integers(1, len(data))).map(lambda ends: sorted({*ends, len(data)}))
    one_by_one = list(range(1, len(data) + 1))
    return (st.just([len(data)]) | ends | st.just(one_by_one)).map(lambda ends: _between(data, ends))


def close_codes() -> SearchStrategy[int]:
    """Generate the codes of Closes: those of RFC 6455 and IANA, 3000 to 4999, and 1005 for a Close without a code."""
    return st.sampled_from(sorted(SENDABLE)) | st.integers(3000, 4999)


def closes() -> SearchStrategy[Close]:
    """Generate Closes: a code with a reason of at most 123 bytes, or neither."""
    room = MAX_CONTROL_PAYLOAD - 2  # after the code
    longest_character = 4  # bytes in UTF-8
    reasons = st.text(st.characters(codec="ascii"), max_size=room) | st.text(max_size=room // longest_character)
    return st.builds(Close, close_codes(), reasons).map(
        lambda close: Close(close.code) if close.code == CloseCode.NO_STATUS_RECEIVED else close
    )


def _cut(message: M) -> SearchStrategy[list[M]]:
    """Generate the parts of a message; some may be empty."""
    cuts = st.lists(st.integers(0, len(message)), max_size=8)
    return cuts.map(lambda cuts: _between(message, [*sorted(cuts), len(message)]))


def _between(message: M, ends: list[int]) -> list[M]:
    return [message[start:end] for start, end in pairwise([0, *ends])]
