"""Replays: the script of a stub that does what the server of a recording did.

Each frame of the server is sent after the same frames of the client as in the recording. The client's data frames and
Close are compared with the recording. Pings and Pongs are not, since their timing is random: the stub answers the Pings
that it receives, and drops the recorded Pongs that answered Pings of the client.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from polysocket.close_info import CloseCause
from polysocket.frames import Close, CloseCode, DataFrame, Frame, Ping, Pong
from polysocket.testing.errors import ReplayMismatch
from polysocket.testing.recording import Recorded, Recording, Redact

__all__ = ["Replay"]

MAX_SHOWN: int = 200
"""Characters of a frame in an error text: two frames fit on a screen."""

FAILURES: frozenset[int] = frozenset(CloseCode) - {CloseCode.NORMAL_CLOSURE, CloseCode.NO_STATUS_RECEIVED}
"""The codes with which a client closes after an error of its own. A mismatch must not hide that error."""


class Replay:
    """A :class:`~polysocket.testing.stub_peer.Responder` with the frames of a recording after its ``initial`` ones."""

    def __init__(self, recording: Recording, redact: Redact) -> None:
        if recording.failure is not None:
            raise ValueError(
                f"no websocket was opened in this recording, so there is nothing to replay: {recording.failure}"
            )
        self._redact = redact
        self._left = deque(_compared(recording.frames))
        self._total = len(self._left)
        self._loss = _loss(recording)
        self._has_failed = False
        self.initial: list[Frame | Close | Exception] = self._until_client()

    def respond(self, frame: DataFrame | Close) -> list[Frame | Close | Exception]:
        """Return the server's frames that follow. Raise :class:`ReplayMismatch` if another frame was recorded."""
        sent = self._redact(frame)
        if isinstance(frame, Close) and self._ends_early(frame, sent):
            return []
        if not self._left or self._left[0].frame != sent:
            self._has_failed = True
            raise ReplayMismatch(f"{self._position()}, but {_shown(sent)} was sent")
        self._left.popleft()
        return self._until_client()

    def explain_end(self, awaited: str) -> str:
        """Return which frame of the client has to come next."""
        return f"no {awaited} is left to be received: {self._position()}"

    def _ends_early(self, frame: Close, sent: Frame | Close) -> bool:
        """Return whether a Close need not be the recorded one: the recording has ended, or the client has failed."""
        if not self._left or self._has_failed:
            return True
        return frame.code in FAILURES and self._left[0].frame != sent

    def _position(self) -> str:
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
    """Yield the frames whose order is not random."""
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
    """Return the network error that ended the recorded websocket, if any."""
    closed = recording.closed
    if closed is None or closed.cause is not CloseCause.NETWORK:
        return None
    return ConnectionResetError(closed.detail)


def _shown(frame: Frame | Close) -> str:
    text = repr(frame)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"
