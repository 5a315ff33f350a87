"""A sweep: many conversations at the same time, each with one fault, and what is wrong with them."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable
from dataclasses import dataclass

from tests.faults.conftest import Server
from tests.faults.conversation import Case, Conversation, Maker, complaint
from tests.faults.flavours import Run
from tests.faults.proxy import Fault, FaultProxy, Way
from tests.leaks import nothing_left_behind

__all__ = ["Ranges", "Sweep", "sweep"]

PATIENT = 1.5  # seconds for the cases in which the machine was too slow to inject the fault in time

Ranges = dict[Way, range]


@dataclass(frozen=True)
class Sweep:
    """The cases of a sweep, and its failures: what is wrong after each fault."""

    cases: list[Case]
    failures: dict[str, str]
    repeated: int


def sweep(run: Run, conversation: Conversation, server: Server, choose: Callable[[Ranges], list[Fault]]) -> Sweep:
    """Hold a conversation with each of the chosen faults. Raise AssertionError if something is leaked."""
    with nothing_left_behind(), FaultProxy() as proxy:
        maker = Maker(proxy, run.sleep, server.ports, server.trusting)
        ranges, plain = sizes(maker, run, conversation)
        faults = choose(ranges)
        random.shuffle(faults)  # stalls, which last, go beside others
        cases = run(maker, [functools.partial(maker.case, conversation, fault) for fault in faults])
        slow = [case.link.fault for case in cases if case.was_too_slow]
        cases = [case for case in cases if not case.was_too_slow]
        cases += run(maker, [functools.partial(maker.case, conversation, fault, PATIENT) for fault in slow])
    assert len(cases) == len(faults)
    failures = {str(case.link.fault): text for case in cases if (text := complaint(case, plain)) is not None}
    return Sweep(cases, failures, len(slow))


def sizes(maker: Maker, run: Run, conversation: Conversation) -> tuple[Ranges, bytes]:
    """Return the bytes of a conversation at which there are faults, and what goes down in it without TLS."""
    plain = Conversation("", conversation.compression, False, conversation.server_closes, True)
    undisturbed, without_tls = run(maker, [functools.partial(maker.case, each, None) for each in (conversation, plain)])
    if undisturbed.conversation is plain:  # It was faster.
        undisturbed, without_tls = without_tls, undisturbed
    down = bytes(without_tls.link.forwarded[Way.DOWN])
    assert complaint(undisturbed, down) is None, complaint(undisturbed, down)
    first = dict.fromkeys(Way, 0) if conversation.whole else undisturbed.opened_at
    return {way: range(first[way], len(undisturbed.link.forwarded[way]) + 1) for way in Way}, down
