"""The way of one small message is short, in Python calls, nested coroutines and locks (``benchmarks/calls.py``).

The ceilings are for plain TCP: TLS is one more stream, with calls of its own. Locks are counted with TLS, too.
"""

from __future__ import annotations

import importlib.util

import pytest

from benchmarks.calls import MESSAGES, TIMEOUT, count

# The threaded flavour's calls start and change threads, and make futures: it has no ceilings of its own.
ALREADY_HERE = {"blocking": 5, "asyncio": 4, "trio": 4}
SEND = {"blocking": 10, "asyncio": 8, "trio": 8}
WAITING = 20
WAITING_COROUTINES = 3
CONNECT = 120
# Batches, besides the calls for each of their messages.
MANY_HERE = {"blocking": 5, "asyncio": 4, "trio": 5}
SEND_MANY = {"blocking": 16, "asyncio": 15, "trio": 18}
SEND_ONE_OF_MANY = 4

installed = [name for name in ALREADY_HERE if name != "trio" or importlib.util.find_spec("trio") is not None]
flavours = pytest.mark.parametrize("flavour", installed)
asynchronous = pytest.mark.parametrize("flavour", [name for name in installed if name != "blocking"])
transports = pytest.mark.parametrize("tls", [False, True], ids=["tcp", "tls"])
compressions = pytest.mark.parametrize("compression", [False, True], ids=["plain", "deflate"])
messages = pytest.mark.parametrize("operation", [name for name in MESSAGES if name not in ("receive", "receive_many")])
sends = pytest.mark.parametrize("operation", ["send_text", "send_binary", "send"])


@flavours
@messages
@compressions
@pytest.mark.parametrize("timeout", [None, TIMEOUT], ids=["unlimited", "timeout"])
def test_receiving_a_message_that_is_already_here_is_short(
    flavour: str, operation: str, compression: bool, timeout: float | None
) -> None:
    counts = count(flavour, operation, compression=compression, timeout=timeout)
    assert counts.calls <= ALREADY_HERE[flavour], counts
    assert counts.coroutines == (flavour != "blocking"), counts


@flavours
@messages
@compressions
def test_receiving_a_message_that_has_to_be_waited_for_is_short(
    flavour: str, operation: str, compression: bool
) -> None:
    counts = count(flavour, operation, waits=True, compression=compression)
    assert counts.calls <= WAITING, counts
    assert counts.coroutines <= WAITING_COROUTINES, counts


@flavours
@sends
@compressions
def test_sending_a_message_is_short(flavour: str, operation: str, compression: bool) -> None:
    counts = count(flavour, operation, compression=compression)
    assert counts.calls <= SEND[flavour], counts


@flavours
@pytest.mark.parametrize("operation", [*MESSAGES, "send_text", "send_binary", "send", "send_many"])
@pytest.mark.parametrize("waits", [False, True], ids=["here", "waits"])
def test_keepalive_slows_no_message(flavour: str, operation: str, waits: bool) -> None:
    assert count(flavour, operation, waits=waits) == count(flavour, operation, waits=waits, keepalive=False)


@flavours
@compressions
def test_receiving_messages_that_are_already_here_together_is_short(flavour: str, compression: bool) -> None:
    counts = count(flavour, "receive_many", compression=compression)
    assert counts.calls <= MANY_HERE[flavour], counts
    counts = count(flavour, "receive_many", waits=True, compression=compression)
    assert counts.calls <= WAITING, counts
    assert counts.coroutines <= WAITING_COROUTINES, counts


@flavours
@compressions
def test_sending_messages_together_is_short(flavour: str, compression: bool) -> None:
    one, ten = (count(flavour, name, compression=compression) for name in ("send_many", "send_many of 10"))
    of_each = (ten.calls - one.calls) / 9
    assert of_each <= SEND_ONE_OF_MANY + compression, (one, ten)
    assert one.calls - of_each <= SEND_MANY[flavour], (one, ten)
    assert ten.locks == one.locks, (one, ten)


@flavours
@compressions
def test_connecting_is_short(flavour: str, compression: bool) -> None:
    counts = count(flavour, "connect", compression=compression)
    assert counts.calls <= CONNECT, counts


@asynchronous
@pytest.mark.parametrize("operation", [*MESSAGES, "send_text", "send_binary", "send", "send_many", "ping", "connect"])
@transports
@compressions
def test_no_lock_is_taken_on_an_event_loop(flavour: str, operation: str, tls: bool, compression: bool) -> None:
    for waits in (False, True):
        counts = count(flavour, operation, waits=waits, tls=tls, compression=compression)
        assert counts.locks == 0, counts


@pytest.mark.parametrize("flavour", [*installed, "threaded"])
@pytest.mark.parametrize("operation", ["receive_text", "send_text", "ping", "connect"])
def test_counting_again_counts_the_same(flavour: str, operation: str) -> None:
    counts = count(flavour, operation)
    assert counts.calls > 0
    assert count(flavour, operation) == counts
