"""Faults of the network at each byte of a conversation: it completes, or a typed error says what happened.

Nothing hangs, nothing that was received whole is lost, nothing leaks. ``FAULTS=all`` takes all bytes, and
``FAULTS=reset-down-250,…`` these faults; else a sample is taken, whose seed is ``FAULTS_SEED``.
"""

from __future__ import annotations

import collections
import os
import random
import sys
import time

import pytest

from tests.faults.conftest import Server
from tests.faults.conversation import Conversation
from tests.faults.flavours import Run
from tests.faults.proxy import Fault, Kind
from tests.faults.sweep import Ranges, sweep

SAMPLE = 3  # faults of each kind and direction
SHOWN = 8  # failures


def chosen(ranges: Ranges, seed: str) -> list[Fault]:
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
    name = request.node.name.partition("[")[2].removesuffix("]")
    seed = os.environ.get("FAULTS_SEED") or str(random.randrange(1 << 32))
    started = time.monotonic()
    result = sweep(run, conversation, server, lambda ranges: chosen(ranges, f"{seed} {name}"))
    failures, ends = result.failures, collections.Counter(type(case.error).__name__ for case in result.cases)
    print(
        f"{name}: {len(result.cases)} cases, {len(failures)} failures, {time.monotonic() - started:.1f} s; "
        f"{sum(case.link.has_fault for case in result.cases)} with a fault, {result.repeated} repeated; {dict(ends)}",
        file=sys.stderr,
    )
    shown = "\n".join(f"{fault}: {text}" for fault, text in list(failures.items())[:SHOWN])
    assert not failures, (
        f"{len(failures)} of {len(result.cases)} cases failed (FAULTS_SEED={seed}):\n{shown}\n"
        f"To repeat them: FAULTS={','.join(list(failures)[:SHOWN])} pytest tests/faults -k '{name}'"
    )
