"""Keep a websocket alive while no caller waits: read what arrives, answer Pings, send Pings, and notice a dead peer.

This happens in calls that never wait, made by the stream when something arrives and by a timer. They cost nothing on
the way of a message, and leave the reading to a caller that waits. They call no code of the user.
"""

from __future__ import annotations

import contextlib
import math
import os
import random
from collections.abc import Callable
from functools import partial
from typing import Final
from weakref import WeakMethod, ref

from polysocket._core.states import State
from polysocket._session.listening import Listening
from polysocket._session.pings import PendingPing, Pings
from polysocket._session.read_loop import ReadLoop
from polysocket._session.reading import wake
from polysocket._session.ticks import Slot, Ticking, ticks_of
from polysocket.close_info import CloseCause
from polysocket.effects import Event
from polysocket.effects.kept_errors import without_tracebacks
from polysocket.frames import Ping, Pong
from polysocket.request import Request

__all__ = ["Keepalive"]

EARLIEST: Final = 0.8
"""The part of the interval after which a Ping may be sent: connections that were opened together don't ping at once."""

SLOTS: Final = 200
"""Moments in an interval at which Pings are sent: together, those of many websockets cost a third less. Of 10,000
websockets with the default interval, 55 ping at once, which takes 2 ms."""

LATE: Final = 0.5
"""Seconds from which on a timer is late: the loop was blocked, or the machine suspended. What has arrived meanwhile was
not read, so the peer gets another Ping."""

LAST_LOOK: Final = 0.05
"""Seconds between the deadline and the judgement: a loop may run timers before it has read what is there (uvloop)."""

LARGE_READ: Final = 64 * 1024
"""Bytes of a read after which more is likely there: a Ping after a large message must not wait for many looks."""

PATIENCE: Final = 0.02
"""Seconds to wait for a websocket's mutex, since all websockets share this thread. The mutex is free within
microseconds, unless a signal handler runs while its thread holds it."""

IDLE: Final = 0.25
"""Seconds without a read after which no caller is about to read on."""

PREFIX_SIZE: Final = 4
"""Random bytes at the beginning of the payload of each Ping, which tell a connection's own Pongs from others."""


class Keepalive(ReadLoop, Ticking):
    """The base of a session: what it does while no caller waits, once :meth:`begin` was called.

    Any byte from the peer is a sign of life. So is progress of what this side sends, while a Ping waits after it.
    Progress does not count once the peer's system has the Ping: that takes more bytes even if the peer is suspended.
    """

    pings: Pings
    request: Request
    listening: Listening | None
    _is_ending = False  # whether a program in the background ends the connection
    _close_timeout: float | None
    _lingers_until: float | None = None  # when a connection that has ended is dropped; None before
    _latest_ping: PendingPing | None = None
    _ping_count = 0  # Pings sent by keepalive
    _prefix = b""  # of the payloads of its Pings
    _frames_sent = 0  # up to the latest one of them
    _next_ping = 0.0  # on the effect's clock, as all times here
    _deadline: float | None = None  # for a sign of life; None while none is due
    _is_last_look = False
    _is_draining = False
    _is_delivering = False  # in a thread of its own
    _look_due: float | None = None  # when a look is made, since there is more to read
    _due = 0.0
    _slot: Slot | None = None  # of the next tick; None before the first one, and after the end
    _revoke_idle: Callable[[], object] | None = None
    _reads_before = 0
    _reads = 0  # before the latest tick
    _reads_at_look = 0  # at the poller's latest call
    _taken = 0  # the bytes that the peer had taken when the deadline was set
    _taken_with_ping: float = 0  # what it has taken, at least, once it has the Ping; infinite if none could be sent
    _look_delay = 0.0  # seconds from the arrival of bytes to the look at them, at most

    def begin(self) -> None:
        """Act on what has arrived in one piece with the opening handshake, and keep the websocket alive from now on."""
        if self._connection.queue.count or self._connection.has_ended:
            with self._mutex:
                self._attend(list(self._connection.queue))
            self._notifications.deliver()
        interval = self.request.ping_interval
        if interval is not None and not self._connection.has_ended:
            now = self._effect.now()
            self._next_ping = _next_slot(now, interval)
            self._ticks = ticks_of(self._effect, self._mutex.loop)
            self._look_delay = self._stream.watch(partial(_look_if_left, ref(self)))
            self.receiver.on_room = partial(_call, WeakMethod(self._note_leaving))
            # Early, since a signal handler that raises here leaves a timer that can't be revoked. Until it is due, the
            # thread of keepalive does not end.
            self._due = min(self._next_ping, now + IDLE)
            self._slot = self._ticks.add(self, self._due, now)
            if self._connection.holds_bytes:
                self._look_soon()

    def is_own_pong(self, pong: Pong) -> bool:
        """Return whether a Pong answers a Ping of keepalive: no caller has to do with it."""
        return self._ping_count > 0 and pong.payload[:PREFIX_SIZE] == self._prefix and len(pong.payload) > PREFIX_SIZE

    def _end_keepalive(self) -> None:
        """Stop the timers and the watch: the connection has ended."""
        if self._slot is not None and self._mutex.has_loop_ended():
            self._slot.revoke = None
        elif self._slot is not None:
            self._stream.watch(None)
            self._ticks.discard(self, self._slot)
            if self._latest_ping is not None:
                self._ticks.look_no_more_for(self._latest_ping)
            if self._revoke_idle is not None:
                self._revoke_idle()
        self._slot = self._revoke_idle = None

    @property
    def _is_ended_elsewhere(self) -> bool:
        """Whether a caller, a listener or a program in the background ends the connection."""
        return self._is_ending or self._closing_since is not None or self.listening is not None

    def _linger(self) -> None:
        """Leave an ended connection to a caller that closes. Else end it with the peer, or after the close timeout.

        The peer's own closing waits for the end of this side. The mutex is held.
        """
        if self._slot is None or self._lingers_until is not None:
            return
        if self._is_ended_elsewhere:
            self._end_keepalive()
            return
        self._stream.watch(None)
        self._ticks.discard(self, self._slot)
        now = self._effect.now()
        self._lingers_until = math.inf if self._close_timeout is None else now + self._close_timeout
        self._schedule(now + IDLE, now)

    def _end_with_peer(self, now: float, limit: float) -> None:
        """End an ended connection if the peer has ended it, too, and has all that was sent; the mutex is held."""
        if self._is_ended_elsewhere:
            return
        has_peer_ended = False
        if not self._reader.thread:
            try:
                rest = self._stream.read_now()
                written, taken = self._stream.progress()
                has_peer_ended = rest == b"" and taken == written
            except OSError:
                has_peer_ended = True
        if has_peer_ended or now >= limit:
            self._note_dropped(CloseCause.CANCELLATION, "this side did not close")
            self._stream.abort()
        else:
            self._schedule(min(now + IDLE, limit), now)

    def __del__(self) -> None:
        if hasattr(self, "_mutex"):  # __init__ may have raised.
            self._end_keepalive()

    def _schedule(self, time: float, now: float) -> None:
        self._due = time
        self._slot = self._ticks.add(self, time, now)

    def look_if_left(self) -> None:
        """Look, unless a poller calls and a caller has read since its last call: it is likely to read on.

        A look between two receives would drop the Pings that are not the latest. Nor does it look if a look is due: in
        a flood, each arrival would add one more to each turn of an event loop.
        """
        if not self._is_look_due() and (not self._look_delay or self._reader.reads == self._reads_at_look):
            self._look()
        self._reads_at_look = self._reader.reads

    def _look(self) -> bool:
        """Read what has arrived, unless a caller does so or there is no room.

        Return False if the mutex is not free, or if observers are late: then it has to look again.
        """
        if self._notifications.is_late or not self._mutex.acquire(timeout=PATIENCE):
            return False
        try:
            has_more = self._read_now()
        finally:
            self._mutex.release()
        if has_more is not None and (self._notifications.due or self._stream.pending):
            self._deliver()
        if has_more:
            self._look_soon()
        return True

    def _read_now(self) -> bool | None:
        """Read what has arrived; return whether more is likely there, or None if nothing was read; mutex held."""
        connection, reader, receiver = self._connection, self._reader, self.receiver
        is_over = connection.has_ended or connection.failure is not None
        if is_over or reader.thread or receiver.is_busy or connection.queue.is_full:
            return None
        data, error = b"", None
        held_bytes = connection.holds_bytes
        if not held_bytes:
            try:
                if (arrived := self._stream.read_now()) is None:
                    return None
                data = arrived
            except OSError as caught:
                error = without_tracebacks(caught)
        try:
            receiver.is_busy = True
            if data or held_bytes:
                frames = connection.receive(data, self._is_watching)
                reader.reads += 1
                self._attend(frames)
                if connection.failure is not None and not connection.queue.count:
                    self._fail()
            else:
                connection.receive_eof(error)
                self._attend(())
            receiver.is_busy = False
        except BaseException as raised:
            self._note_interruption(raised)
            raise
        reader.turn += 1
        wake(reader.waiting)
        # If the connection held bytes, the stream was not read.
        return held_bytes or connection.holds_bytes or len(data) >= LARGE_READ

    def _note_leaving(self) -> None:
        """Have the rest be read once no caller has read for a while: nothing else may tell of it."""
        if self._slot is not None and self._revoke_idle is None:
            self._reads_before = self._reader.reads
            self._revoke_idle = self._effect.call_later(IDLE, partial(_call, WeakMethod(self._look_if_idle)))

    def _look_if_idle(self) -> None:
        self._revoke_idle = None
        if self._reader.reads != self._reads_before or not self._look():
            self._note_leaving()

    def _look_soon(self, seconds: float = 0) -> None:
        """Look when the caller has done its part: there is more to read, and nothing else may tell of it."""
        if not self._is_look_due():
            self._look_due = self._effect.now() + seconds  # before the call, which another thread may make at once
            self._effect.call_later(seconds, partial(_call, WeakMethod(self._look_on)))

    def _is_look_due(self) -> bool:
        """Return whether a look will be made; a signal handler that raised may have ended one that is late."""
        return self._look_due is not None and self._effect.now() < self._look_due + LATE

    def _look_on(self) -> None:
        self._look_due = None
        if not self._look():
            self._look_soon(IDLE)

    def tick(self) -> None:
        """Judge the peer if its time is over, and ping it if that is due."""
        if self._deadline is not None and self._effect.now() >= self._deadline:
            self._look()  # before the peer is judged
        if not self._mutex.acquire(timeout=PATIENCE):
            # It stays due: then the peer, whose answer may be unread, gets another Ping.
            now = self._effect.now()
            self._slot = self._ticks.add(self, now + IDLE, now)
            return
        try:
            self._judge_and_ping()
        finally:
            self._mutex.release()
        if self._notifications.due or self._stream.pending:
            self._deliver()

    def _judge_and_ping(self) -> None:
        """Do what :meth:`tick` does; the mutex is held."""
        interval = self.request.ping_interval
        now = self._effect.now()
        if self._lingers_until is not None:
            self._end_with_peer(now, self._lingers_until)
        if self._connection.state is not State.OPEN or interval is None:
            return  # The closing handshake has a time limit of its own.
        if self._reader.reads != self._reads or self._connection.queue.is_full or self._notifications.is_late:
            self._reads = self._reader.reads
            self._deadline = None
        if self._deadline is not None:
            self._extend_deadline(now)
        if self._deadline is not None and now >= self._deadline:
            if now - self._due > LATE:
                self._notifications.note("keepalive: the peer gets another Ping, since this side was held up")
                self._deadline, self._next_ping = None, now
            elif not self._is_last_look:
                self._is_last_look = True
                self._schedule(now + LAST_LOOK, now)
                return
            else:
                self._give_up()
        if self._connection.state is State.OPEN:
            self._is_last_look = False
            if now >= self._next_ping:
                self._ping(now)
                self._next_ping = _next_slot(now, interval)
            due = self._next_ping if self._deadline is None else min(self._next_ping, self._deadline)
            self._schedule(due, now)

    def _extend_deadline(self, now: float) -> None:
        """Extend the deadline if the peer has taken some of what was sent before the Ping, and not yet the Ping."""
        _, taken = self._stream.progress()
        if self._taken < taken < self._taken_with_ping:
            self._taken = taken
            has_ping = self._taken_with_ping < math.inf
            timeout = self.request.ping_timeout
            self._deadline = now + timeout if has_ping and timeout is not None else None

    def _ping(self, now: float) -> None:
        """Send a Ping, unless the network takes nothing; the peer has to show life in time. The mutex is held."""
        has_room = self._sender.has_room
        is_answered = self._latest_ping is not None and self._latest_ping.seconds is not None
        if self.request.ping_timeout is not None and self._deadline is None:
            self._deadline = now + self.request.ping_timeout
            if is_answered and self._connection.encoder.frames_sent == self._frames_sent:
                self._taken_with_ping = 0  # The peer has all that was sent: there can't be progress.
            else:
                before, self._taken = self._stream.progress()
                self._taken_with_ping = before + 1 if has_room else math.inf
        if self._latest_ping is not None and not is_answered:
            self.pings.forget(self._latest_ping)
            self._ticks.look_no_more_for(self._latest_ping)
        if has_room:
            self._prefix = self._prefix or os.urandom(PREFIX_SIZE)
            self._ping_count += 1
            self._latest_ping = PendingPing(self._prefix + self._ping_count.to_bytes(4, "big"))
            self._sender.send_control(Ping(self._latest_ping.payload))
            self._frames_sent = self._connection.encoder.frames_sent
            self.pings.start(self._latest_ping, is_delayed=False)
            if self._look_delay:
                self._ticks.look_for(self._latest_ping, self._look_delay)
        else:
            self._notifications.note("keepalive: the network takes nothing, so no Ping is sent")

    def _give_up(self) -> None:
        """Drop the connection to a dead peer; the mutex is held."""
        if self._taken_with_ping < math.inf:
            detail = f"the peer was silent for {self.request.ping_timeout} seconds after a Ping"
        else:
            detail = f"the network took nothing for {self.request.ping_timeout} seconds, not even a Ping"
        self._note_dropped(CloseCause.KEEPALIVE, detail)
        self._stream.abort()

    def _deliver(self) -> None:
        """Have the observers and the log told: in the flavours of threads by a thread of their own, if any are there.

        Those that call back may block, and this thread is that of all websockets.
        """
        if self._effect.is_async:
            if self._notifications.due:
                self._notifications.deliver()
            return
        self._deliver_in_thread()
        if self._stream.pending and not self._is_draining:
            self._is_draining, has_ended = True, self._effect.event()
            self._sender.background.add(has_ended)  # Closing waits for it.
            self._effect.spawn(self._drain, partial(self._note_drained, has_ended))

    def _deliver_in_thread(self) -> None:
        """Start the thread, unless it runs: it goes on until nothing is due."""
        if self._notifications.has_work and not self._is_delivering:
            self._is_delivering = True
            self._effect.spawn(self._deliver_notifications, self._note_delivered)

    async def _deliver_notifications(self) -> None:
        self._notifications.deliver()

    def _note_delivered(self, error: BaseException | None) -> None:
        self._is_delivering = False
        if error is None:
            self._deliver_in_thread()  # Something may have come after the last look, and before this call.

    async def _drain(self) -> None:
        """Wait until the network has taken a Ping or a Pong: perhaps no caller does."""
        with contextlib.suppress(OSError):  # The next look meets the end of the connection.
            await self._stream.drain()

    def _note_drained(self, has_ended: Event, _: BaseException | None) -> None:
        self._is_draining = False
        self._sender.background.discard(has_ended)
        has_ended.set()


def _next_slot(now: float, interval: float) -> float:
    """Return the time of the next Ping."""
    if interval == math.inf:
        return math.inf
    slot = interval / SLOTS
    latest = now + interval  # and rounding down may make any time one slot earlier
    return (latest - (interval * (1 - EARLIEST) - slot) * random.random()) // slot * slot


def _look_if_left(reference: ref[Keepalive]) -> None:
    """Do what :func:`_call` does, in fewer calls: this happens each time that something arrives while none waits."""
    if (keepalive := reference()) is not None:
        keepalive.look_if_left()


def _call(reference: WeakMethod[Callable[[], object]]) -> None:
    """Call a method if its object is alive: neither a timer nor a stream keeps a websocket that its user has left."""
    if (method := reference()) is not None:
        method()
