"""Batches: whole messages that are sent together, in one write."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from polysocket._core.frame_queue import FRAME_COST
from polysocket._core.validation import invalid_text, payload_bytes
from polysocket.errors import InvalidFrame
from polysocket.frames import Binary, DataFrame, Text

__all__ = ["Batch", "batches", "whole_messages"]

# Bytes of payload, and FRAME_COST for each message: a thousand small messages go in one write. Encoding them takes an
# event loop a few milliseconds, and the frames are held beside the messages.
MAX_BATCH: Final = 256 * 1024
MOST_BYTES: Final = 4  # of a character in UTF-8: to count those of each text would take as long as to encode it


@dataclass(frozen=True, slots=True)
class Batch:
    """Messages whose frames are written together: all of them, or none."""

    messages: list[DataFrame]


def whole_messages(messages: Iterable[object]) -> list[DataFrame]:
    """Return a frame for each message, which the caller can't change later.

    Raises :class:`InvalidFrame`, with the index of the message, for the first that may not be sent, and TypeError if
    the messages are not an iterable of messages.
    """
    if isinstance(messages, str | bytes | bytearray | memoryview) or not isinstance(messages, Iterable):
        raise TypeError(f"the messages are an iterable of str or bytes, not a {type(messages).__name__}")
    frames: list[DataFrame] = []
    for index, message in enumerate(messages):
        try:
            frames.append(_whole(message))
        except InvalidFrame as error:
            raise InvalidFrame(f"messages[{index}] can't be sent: {error}") from None
    return frames


def _whole(message: object) -> DataFrame:
    if isinstance(message, str):
        if not str.isascii(message):
            try:
                str.encode(message)
            except UnicodeEncodeError:
                raise invalid_text(message) from None
        return Text(message)
    if type(message) is bytes:
        return Binary(message)
    data: Any = message
    try:
        memoryview(data).release()
    except TypeError:
        raise InvalidFrame(f"a message is a str or bytes, not {type(message).__name__}") from None
    except (BufferError, ValueError):
        pass  # payload_bytes() raises an error that says why.
    return Binary(payload_bytes(Binary(data)))


def batches(messages: list[DataFrame]) -> Iterator[Batch]:
    """Yield the messages in batches of at most ``MAX_BATCH``, or of one larger message."""
    rest = iter(messages)
    count = size = 0
    for message in messages:
        payload = message._payload
        is_wide = isinstance(payload, str) and not payload.isascii()
        cost = len(payload) * (MOST_BYTES if is_wide else 1) + FRAME_COST
        if count and size + cost > MAX_BATCH:
            yield Batch(list(islice(rest, count)))
            count = size = 0
        count += 1
        size += cost
    if count:
        yield Batch(list(rest))
