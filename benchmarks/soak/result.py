"""The plan of one run, its result, and the faults to find in the result."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Plan", "Result"]


@dataclass(frozen=True, slots=True)
class Plan:
    """One library in one flavour, and how many connections to hold for how long."""

    flavour: str
    library: str
    url: str
    connections: int
    seconds: float
    rate: float  # messages per second on all connections together, at most
    settling: float = 15.0  # seconds until all must be given back; trio keeps an idle thread for 10


@dataclass(frozen=True, slots=True)
class Result:
    """The figures of one run."""

    flavour: str
    library: str
    connections: int
    opened: int
    sent: int
    received: int
    lost: int
    pings: int
    failures: list[str]  # errors, in words
    idle: float | None  # bytes of memory for each connection, before the first message
    after: float | None  # the same after the traffic
    descriptors: int  # left after closing
    tasks: int
    threads: int
    objects: int  # connections that the garbage collector could not free

    def faults(self) -> list[str]:
        """Describe what is lost or left."""
        faults = [
            f"{number} {name}"
            for number, name in (
                (self.lost, "messages lost"),
                (len(self.failures), "errors"),
                (self.descriptors, "descriptors left"),
                (self.tasks, "tasks left"),
                (self.threads, "threads left"),
                (self.objects, "connection objects left"),
            )
            if number
        ]
        if not self.received:
            faults.append("no message received")
        return [f"{self.flavour}, {self.library}: {fault}" for fault in faults] + self.failures[:3]
