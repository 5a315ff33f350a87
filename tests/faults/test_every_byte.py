"""Faults of the network at each byte of a conversation: it completes, or a typed error says what happened.

Nothing hangs, nothing that was received whole is lost, nothing leaks. ``FAULTS=all`` takes all bytes, and
``FAULTS=reset-down-250,…`` these faults; else a sample is taken, whose seed is ``FAULTS_SEED``.
"""

from __future__ import annotations

import collections
import functools
import os
import random
import sys
import time

import pytest

from tests.faults.conftest import Server
from tests.faults.conversation import Conversation, Maker, complaint
from tests.faults.flavours import Run
from tests.faults.proxy import Fault, FaultProxy, Kind, Way
from tests.leaks import nothing_left_behind

SAMPLE = 3  # faults of each kind and direction
PATIENT = 2.0  # seconds for the cases of which the machine was too slow to inject the fault in time
SHOWN = 8  # failures


def sizes(maker: Maker, run: Run, conversation: Conversation) -> tuple[dict[Way, range], bytes]:
    """Return the bytes of a conversation at which there are faults, and what goes down in it without TLS."""
    plain = Conversation("", conversation.compression, False, conversation.server_closes, True)
    undisturbed, without_tls = run(maker, [functools.partial(maker.case, each, None) for each in (conversation, plain)])
    if undisturbed.conversation is plain:  # It was faster.
        undisturbed, without_tls = without_tls, undisturbed
    down = bytes(without_tls.link.forwarded[Way.DOWN])
    assert complaint(undisturbed, down) is None, complaint(undisturbed, down)
    first = dict.fromkeys(Way, 0) if conversation.whole else undisturbed.opened_at
    return {way: range(first[way], len(undisturbed.link.forwarded[way]) + 1) for way in Way}, down


def chosen(ranges: dict[Way, range], seed: str) -> list[Fault]:
    """Return the faults to inject."""
    which = os.environ.get("FAULTS", "sample")
    if which not in ("all", "sample"):
        return [Fault.parse(each) for each in which.split(",")]
    source = random.Random(seed)
    return [
        Fault(kind, way, byte)
        for kind in Kind
        for way, bytes_ in ranges.items()
        for byte in (bytes_ if which == "all" else source.sample(bytes_, SAMPLE))
    ]


def test_each_fault_of_the_network_ends_a_conversation_with_a_typed_error(
    run: Run, conversation: Conversation, server: Server, request: pytest.FixtureRequest
) -> None:
    seed = os.environ.get("FAULTS_SEED") or str(random.randrange(1 << 32))
    started = time.monotonic()
    with nothing_left_behind(), FaultProxy() as proxy:
        maker = Maker(proxy, server.ports, server.trusting)
        ranges, plain = sizes(maker, run, conversation)
        faults = chosen(ranges, f"{seed} {request.node.name}")
        random.Random(seed).shuffle(faults)  # stalls, which last, go beside others
        cases = run(maker, [functools.partial(maker.case, conversation, fault) for fault in faults])
        slow = [case.link.fault for case in cases if case.was_too_slow]
        cases = [case for case in cases if not case.was_too_slow]
        cases += run(maker, [functools.partial(maker.case, conversation, fault, PATIENT) for fault in slow])
    failures = {str(case.link.fault): text for case in cases if (text := complaint(case, plain)) is not None}
    ends = collections.Counter(type(case.error).__name__ for case in cases)
    print(
        f"{request.node.name}: {len(cases)} cases, {len(failures)} failures, {time.monotonic() - started:.1f} s; "
        f"{sum(case.link.has_fault for case in cases)} with a fault, {len(slow)} repeated; ends: {dict(ends)}",
        file=sys.stderr,
    )
    shown = "\n".join(f"{fault}: {text}" for fault, text in list(failures.items())[:SHOWN])
    assert len(cases) == len(faults)
    assert not failures, (
        f"{len(failures)} of {len(cases)} cases failed (FAULTS_SEED={seed}):\n{shown}\n"
        f"To repeat them: FAULTS={','.join(list(failures)[:SHOWN])} pytest -k '{request.node.name}'"
    )
