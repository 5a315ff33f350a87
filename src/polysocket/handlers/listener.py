"""Handlers: what is done with a websocket that a backend has opened, as values that are given to ``open_websocket``.

Each kind is a class; its ``check`` refuses what can't work before anything is opened, and its ``start`` is the program
that makes the result of an open session.
"""

from __future__ import annotations

import contextlib
import inspect
import logging
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final, Generic, TypeVar

from polysocket._session.listening import Listening
from polysocket._session.session import Session
from polysocket.close_info import CloseCause, CloseInfo
from polysocket.effects import Effect
from polysocket.errors import InvalidHandler, WebSocketClosed
from polysocket.frames import Binary, CloseCode, Frame, Ping, Pong, Text
from polysocket.handlers.handler import Handler
from polysocket.websocket import WebSocket

__all__ = ["Listener"]


F = TypeVar("F")


logger: Final = logging.getLogger("polysocket")


class Listener(Handler, Generic[F]):
    """The low-level handler: subclass it, and override what is of interest.

    The methods are called one at a time, in the order of the frames; in an asynchronous flavour they may be coroutine
    functions. The result of ``open_websocket`` is the websocket, for sending and closing; receiving is the listener's.
    An exception in a method goes to :meth:`on_error` and closes with 1011; frames behind it are dropped. But where a
    method sends behind a Close, its :class:`WebSocketClosed` is only told, and the rest still handed over.
    Where the program closes, frames that come before the other side's Close are still handed over; where a method does,
    or closes while one runs, only those that were received before. Pings are answered before ``on_ping``.
    """

    def on_open(self, ws: WebSocket[F]) -> object:
        """The websocket is open; called before ``open_websocket`` gives its result."""

    def on_text(self, frame: Text) -> object:
        """A text frame was received, which may be a fragment (``frame.final`` is False)."""

    def on_binary(self, frame: Binary) -> object:
        """A binary frame was received, which may be a fragment."""

    def on_ping(self, frame: Ping) -> object:
        """A Ping was received, and answered."""

    def on_pong(self, frame: Pong) -> object:
        """A Pong was received."""

    def on_close(self, info: CloseInfo) -> object:
        """The websocket has ended, however that was; called once, last."""

    def on_error(self, error: Exception) -> object:
        """A method has raised this, or the websocket has ended by it: a protocol error, a lost connection.

        Where it is not overridden, what a method has raised is logged.
        """

    def check(self, effect: Effect) -> None:
        """Refuse methods that are none, and coroutine functions where nothing can await them."""
        for name in ("on_open", "on_text", "on_binary", "on_ping", "on_pong", "on_close", "on_error"):
            method = getattr(self, name)
            if not callable(method):
                raise InvalidHandler(f"{type(self).__name__}.{name} is {method!r}, and can't be called")
            if inspect.iscoroutinefunction(method) and not effect.is_async:
                raise InvalidHandler(f"{type(self).__name__}.{name} is async, which this flavour can't await")

    async def start(self, effect: Effect, session: Session) -> WebSocket[Any]:
        """Call ``on_open``, and listen in the background."""
        websocket = WebSocket[Any](session, effect)
        session.listening = Listening(effect)

        async def listen() -> None:
            await self._listen(effect, session)

        def done(error: BaseException | None) -> None:
            if error is not None and session.close_info is None:
                session.give_up(error)  # The program could not even begin.
            session.end_listening()

        try:
            await self._call(effect, session, self.on_open, websocket)
            session.begin_receiving()
            effect.spawn(listen, done)
        except BaseException:
            session.end_listening()
            raise
        return websocket

    async def _listen(self, effect: Effect, session: Session) -> None:
        methods: dict[type[Frame], Callable[[Any], object]] = {
            Text: self.on_text,
            Binary: self.on_binary,
            Ping: self.on_ping,
            Pong: self.on_pong,
        }

        async def hand_over(frame: Frame) -> None:
            if not await self._call(effect, session, methods[type(frame)], frame):
                raise _Failed

        try:
            try:
                await session.receive_each(hand_over)
            except _Failed:
                pass  # What came behind the frame that a method failed on is nobody's.
            except WebSocketClosed as error:
                if error.close_info.cause is not CloseCause.CLOSE:
                    await self._call(effect, session, self.on_error, error)
            await session.close()
        except BaseException as error:  # the loop ends, a method exits, or there is a bug
            session.give_up(error)
            if not effect.is_cancellation(error):
                await self._call(effect, session, self.on_error, error)
            await self._call(effect, session, self.on_close, session.close_info)
            raise
        await self._call(effect, session, self.on_close, session.close_info)

    async def _call(self, effect: Effect, session: Session, method: Callable[[Any], object], argument: Any) -> bool:
        """Call a method; tells whether the next one may be called."""
        try:
            with session.listening.calling() if session.listening else contextlib.nullcontext():
                await _settled(effect, method(argument))
        except BaseException as error:
            if effect.is_cancellation(error):
                raise
            if method == self.on_error:
                logger.exception("%s.on_error failed", type(self).__name__)
            else:
                is_told = type(self).on_error is not Listener[Any].on_error
                if not is_told and not session.is_ended_by(error):
                    logger.exception("a method of %s failed", type(self).__name__)
                await self._call(effect, session, self.on_error, self._told(method, error))
            if session.is_ended_by(error):
                return True
            await session.close(CloseCode.INTERNAL_ERROR)
            return False
        return True

    def _told(self, method: Callable[[Any], object], error: BaseException) -> Exception:
        """What ``on_error`` is told."""
        if isinstance(error, Exception):
            return error
        name = f"{type(self).__name__}.{getattr(method, '__name__', repr(method))}"
        told = RuntimeError(f"{name} raised {error!r}, though nobody has cancelled the listener")
        told.__cause__ = error
        return told


class _Failed(Exception):
    """A method of the listener has raised, and was told so."""


async def _settled(effect: Effect, value: object) -> Any:
    """The value; where it is in the flavour's wrapper, what is in there."""
    if inspect.iscoroutine(value) and not effect.is_async:
        value.close()
        raise InvalidHandler(f"{value.__qualname__} is async, which this flavour can't await")
    is_wrapped = inspect.isawaitable(value) if effect.is_async else isinstance(value, Future)
    return await effect.unlift(value) if is_wrapped else value
