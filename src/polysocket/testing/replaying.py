"""What a stub says that replays a recording: the server's frames, each behind those of the client it came behind.

Data frames and Closes are compared. Pings and Pongs are not, since chance decides when they go: a client's are answered
as they come, and the Pongs to those that were recorded are left out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from polysocket.close_info import CloseCause
from polysocket.frames import Close, CloseCode, DataFrame, Frame, Ping, Pong
from polysocket.testing.errors import ReplayMismatch
from polysocket.testing.recording import Recorded, Recording, Redact

__all__ = ["Replay"]

SHOWN: int = 200  # characters of a frame in a message

GIVING_UP: frozenset[int] = frozenset(CloseCode) - {CloseCode.NORMAL_CLOSURE, CloseCode.NO_STATUS_RECEIVED}
"""The codes by which a client that has failed closes: it has an error of its own, which is not to be hidden."""


class Replay:
    """The :class:`~polysocket.testing.peer.Responder` that goes through a recording, behind its ``initial`` frames."""

    def __init__(self, recording: Recording, redact: Redact) -> None:
        if recording.failure is not None:
            raise ValueError(f"no websocket was opened in this recording, so none can be replayed: {recording.failure}")
        self._redact = redact
        self._left = deque(_compared(recording.frames))
        self._total = len(self._left)
        self._loss = _loss(recording)
        self._has_failed = False
        self.initial: list[Frame | Close | Exception] = self._until_client()

    def respond(self, frame: DataFrame | Close) -> list[Frame | Close | Exception]:
        """What the server said to it; raises :class:`ReplayMismatch` where something else was recorded."""
        sent = self._redact(frame)
        if isinstance(frame, Close) and self._ends_early(frame, sent):
            return []
        if not self._left or self._left[0].frame != sent:
            self._has_failed = True
            raise ReplayMismatch(f"{self._due()}, but {_shown(sent)} was sent")
        self._left.popleft()
        return self._until_client()

    def lacking(self) -> str:
        """Where in the recording this is."""
        return f"nothing is there to be received: {self._due()}"

    def _ends_early(self, frame: Close, sent: Frame | Close) -> bool:
        """Whether a Close that is not the recorded one is all right: behind the end of a recording, or of a failure."""
        if not self._left or self._has_failed:
            return True
        return frame.code in GIVING_UP and self._left[0].frame != sent

    def _due(self) -> str:
        if not self._left:
            return "the recording has ended"
        number = self._total - len(self._left) + 1
        return f"the recording goes on with {_shown(self._left[0].frame)} from the client ({number} of {self._total})"

    def _until_client(self) -> list[Frame | Close | Exception]:
        answers: list[Frame | Close | Exception] = []
        while self._left and self._left[0].sender == "server":
            answers.append(self._left.popleft().frame)
        if not self._left and self._loss is not None:
            answers.append(self._loss)
        return answers


def _compared(frames: Iterable[Recorded]) -> Iterator[Recorded]:
    """What does not depend on chance, as the module's docstring says."""
    pings: set[bytes] = set()
    for each in frames:
        match each.sender, each.frame:
            case "client", Ping(payload):
                pings.add(payload)
            case "client", Pong():
                pass
            case "server", Pong(payload) if payload in pings:
                pass
            case _:
                yield each


def _loss(recording: Recording) -> OSError | None:
    """The error of the network by which the recorded websocket ended."""
    closed = recording.closed
    if closed is None or closed.cause is not CloseCause.NETWORK:
        return None
    return ConnectionResetError(closed.detail)


def _shown(frame: Frame | Close) -> str:
    text = repr(frame)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
