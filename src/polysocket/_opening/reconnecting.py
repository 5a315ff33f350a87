"""Reconnecting as a program: open a session, wait for its end, and open the next one, as a policy says.

It is written once for every flavour. :class:`~polysocket.connections.Connections` has its public methods.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Generic, TypeVar

from polysocket._logger import get_logger
from polysocket._opening.finality import is_own_close, retry_after, status_of
from polysocket._session.iterating import AsyncMessages
from polysocket._session.session import Session, close_after
from polysocket.backoff import Backoff, Gap
from polysocket.buffer import Buffer
from polysocket.close_info import CloseInfo
from polysocket.effects import Effect
from polysocket.errors import ConcurrentReceive, WebSocketClosed, WrongEventLoop

if TYPE_CHECKING:
    from polysocket.observers.logging import Logger

__all__ = ["Reconnector"]

W = TypeVar("W")

UNAUTHORIZED = 401  # RFC 9110 §15.5.2: fresh credentials may be accepted


class Reconnector(Generic[W]):
    """The websockets of one ``reconnect``, one after the other.

    Args:
        effect: The effect that waits.
        open_session: Open a session.
        wrap: Make the websocket of a session.
        prepare: Prepare a websocket that was just opened. Its error is that of the attempt.
        policy: The delays between the attempts.
        is_final: Return whether an error is raised instead of another attempt.
        buffer: The buffer into which each websocket reads ahead, if any.
        renews_auth: Whether each attempt has fresh credentials, so that a rejected one is followed by another.
        logger: The logger of failed attempts. The default is ``polysocket``.
    """

    def __init__(
        self,
        effect: Effect,
        open_session: Callable[[], Awaitable[Session]],
        wrap: Callable[[Session], W],
        prepare: Callable[[W], Awaitable[object]] | None,
        *,
        policy: Backoff,
        is_final: Callable[[Exception], bool],
        buffer: Buffer | None,
        renews_auth: bool,
        logger: Logger | None,
    ) -> None:
        self._effect = effect
        self._open_session = open_session
        self._wrap = wrap
        self._prepare = prepare
        self._policy = policy
        self._is_final = is_final
        self._buffer = buffer
        self._renews_auth = renews_auth
        self._logger = logger
        self._has_renewed_auth = False  # since a session was open
        self._is_closed = False
        # Those that are about to reopen: the first one does. No lock, since a signal handler can raise between the
        # taking of a lock and the note that it was taken.
        self._reopening: list[object] = []
        self._mutex = effect.mutex()  # of the event loop in which the latest one reopens
        self.process: int = 0
        """The process in which the latest one reopens; 0 before the first one."""
        self._wake: Callable[[], object] = _nothing  # ends the wait of that caller
        self.websocket: W | None = None
        """The websocket that was opened last, until its end is noticed."""
        self._session: Session | None = None  # that of the websocket
        self._messages: AsyncMessages | None = None
        self._opened_at = 0.0
        self._attempts = 0  # since a session was stable
        self._retries = 0  # delays since a session was stable
        self._due: float | None = None  # the time of the next attempt; None for at once
        self._lost: CloseInfo | None = None  # the end of the last session, until a gap tells of it
        self._lost_at = 0.0
        self._attempts_since_lost = 0

    @property
    def state(self) -> str:
        """The state in words, for people: that of the open websocket, or whether another may be opened."""
        session = self._session
        if session is not None and session.is_open:
            return session.state
        return "closed" if self._is_closed else "waiting"

    # Websockets and messages

    async def next_websocket(self) -> W | None:
        """Close the websocket that is open, and open the next one. Return None after :meth:`close`."""
        websocket = await self._replace_websocket()
        self._lost = None  # A caller that takes websockets takes no gaps.
        return websocket

    async def next_message(self) -> str | bytes | Gap | None:
        """Return the next message of any websocket, or the gap before one.

        Return None after :meth:`close`, once what has arrived before the peer's Close was returned.
        """
        while True:
            if (messages := self._messages) is not None:
                try:
                    return await anext(messages)
                except (StopAsyncIteration, WebSocketClosed):
                    pass  # Its end is judged below.
            if self._is_closed:
                return None
            if await self._replace_websocket() is not None and (gap := self._take_gap()) is not None:
                return gap

    async def close(self, code: int) -> None:
        """Close the websocket that is open, open no more, and end the wait of the caller that reopens."""
        self._refuse_other_loop()
        self._end()
        if (session := self._session) is not None:
            await session.close(code)
            self._forget_websocket()

    async def close_after(self, error: BaseException | None) -> None:
        """Close at the end of a ``with`` block that raised ``error``."""
        await close_after(self._effect, error, self.close, self.abort)

    def abort(self) -> None:
        """Drop the connection without waiting, open no more, and end the wait of the caller that reopens."""
        self._end()
        if (session := self._session) is not None:
            session.abort()
            self._forget_websocket()

    def _end(self) -> None:
        self._is_closed = True
        wake, self._wake = self._wake, _nothing
        wake()

    def _refuse_other_loop(self) -> None:
        """Raise :class:`WrongEventLoop` if the websocket, or the caller that reopens, is in another loop that runs."""
        session, mutex = self._session, self._mutex
        if session is not None and session.close_info is None and not session.has_loop_ended:
            session.check_event_loop()
        if self._reopening and mutex.running_loop() != mutex.loop and not mutex.has_loop_ended():
            raise WrongEventLoop("a task of another event loop waits for the next websocket: call this in that loop")

    # The end of a websocket

    async def _leave_session(self) -> None:
        """Close the websocket, if there is one, and note its end. Raise its error if no attempt may follow."""
        session = self._session
        if session is None:
            return
        await session.close()
        info = session.close_info
        assert info is not None, "a closed session explains itself"
        self._forget_session()
        self._lost, self._lost_at, self._attempts_since_lost = info, self._effect.now(), 0
        if self._lost_at - self._opened_at >= self._policy.stable_after:
            self._attempts = self._retries = 0
        if is_own_close(info):
            self._delay(0)
        else:
            self._note_failure(session.error())

    def _take_gap(self) -> Gap | None:
        """Return the gap between the last two websockets, once; None if the first one is open."""
        info, self._lost = self._lost, None
        if info is None:
            return None
        return Gap(info, self._attempts_since_lost, max(self._opened_at - self._lost_at, 0))

    def _forget_session(self) -> None:
        self._forget_websocket()
        self._messages = None

    def _forget_websocket(self) -> None:
        """Forget the websocket that was closed; its messages that have arrived can still be taken."""
        self.websocket = self._session = None

    # The next websocket

    async def _replace_websocket(self) -> W | None:
        """Close the websocket that is open, if any, and open the next one. Return None after :meth:`close`.

        Raises :class:`ConcurrentReceive` while another caller is about to open one.
        """
        turn = object()
        try:
            self._reopening.append(turn)
            if self._reopening[0] is not turn:
                raise ConcurrentReceive("another task or thread is waiting for the next websocket")
            self._mutex, self.process = self._effect.mutex(), os.getpid()
            await self._leave_session()
            return await self._reopen()
        finally:
            if turn in self._reopening:
                self._reopening.remove(turn)

    async def _reopen(self) -> W | None:
        """Open a websocket, in as many attempts as the policy allows. Return None after :meth:`close`."""
        while not self._is_closed:
            await self._wait_until_due()
            self._attempts += 1
            self._attempts_since_lost += 1
            try:
                await self._attempt()
            except BaseException as error:
                if (session := self._session) is not None:
                    self._forget_session()
                    await session.close_after(error)
                if self._effect.is_cancellation(error) or not isinstance(error, Exception):
                    raise
                self._note_failure(error)
            if self.websocket is not None and not self._is_closed:
                self._has_renewed_auth = False
                return self.websocket
        if (session := self._session) is not None:  # It was opened while another thread closed.
            await session.close()
            self._forget_session()
        return None

    async def _wait_until_due(self) -> None:
        if self._due is not None and (seconds := self._due - self._effect.now()) > 0:
            due = self._effect.event()
            self._wake = due.set
            try:
                if not self._is_closed:
                    with contextlib.suppress(TimeoutError):
                        async with self._effect.time_limit(seconds):
                            await due.wait()
            finally:
                self._wake = _nothing
        self._due = None

    async def _attempt(self) -> None:
        """Open a websocket and prepare it. Return early, perhaps without one, if :meth:`close` is called meanwhile."""
        async with self._effect.interruptible() as interrupt:
            self._wake = interrupt
            try:
                if not self._is_closed:
                    self._session = session = await self._open_session()
                    session.begin()
                    if self._buffer is not None:
                        session.read_ahead(self._buffer)
                    self._opened_at = self._effect.now()
                    self.websocket = websocket = self._wrap(session)
                    if self._prepare is not None:
                        await self._prepare(websocket)
                    self._messages = AsyncMessages(session, None)
            finally:
                self._wake = _nothing

    def _note_failure(self, error: Exception) -> None:
        """Set the delay before the next attempt. Raise the error if none may follow."""
        if self._is_closed:
            return
        if self._renews_auth and not self._has_renewed_auth and status_of(error) == UNAUTHORIZED:
            self._has_renewed_auth = True
        elif self._is_final(error) or (self._policy.attempts is not None and self._attempts >= self._policy.attempts):
            self._is_closed = True
            try:
                raise error
            finally:
                del error  # Its traceback has this frame.
        seconds = self._delay(retry_after(error))
        logger = get_logger() if self._logger is None else self._logger
        logger.debug("the next attempt follows in %.1f seconds: %s", seconds, error)

    def _delay(self, least: float) -> float:
        """Set the delay before the next attempt, at least this many seconds, and return it."""
        self._retries += 1
        seconds = max(self._policy.delay(self._retries), least)
        self._due = self._effect.now() + seconds
        return seconds


def _nothing() -> None: ...
