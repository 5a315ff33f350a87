"""Listeners: call methods for each frame of a websocket, in the background."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from polysocket._core import close_codes
from polysocket._logger import get_logger
from polysocket._session.listening import Listening
from polysocket._session.session import Session
from polysocket.close_info import CloseCause, CloseInfo
from polysocket.effects import Effect
from polysocket.errors import InvalidHandler, WebSocketClosed
from polysocket.frames import Binary, Frame, Ping, Pong, Text
from polysocket.handlers.handler import Handler, is_own_end
from polysocket.websocket import WebSocket

__all__ = ["Listener", "await_result"]

F = TypeVar("F")

METHODS = ("on_open", "on_text", "on_binary", "on_ping", "on_pong", "on_close", "on_error")


class Listener(Handler, Generic[F]):
    """The low-level handler: subclass it and override the methods that you need.

    The methods are called one at a time, in the order of the frames. In an async flavour they may be coroutine
    functions. The result of ``open_websocket`` is the websocket, for sending and closing; only the listener receives.

    - A method that raises is reported to :meth:`on_error`. The websocket is closed with 1011, and the remaining frames
      are dropped.
    - A method that sends after the Close, or on a connection that is lost, gets :class:`WebSocketClosed`. That error is
      reported too, but the remaining frames are still delivered.
    - Frames that arrive before the peer's Close are still delivered after the websocket was closed. If a method closes
      it, or the program does while a method runs, at most 1 MiB of them is kept until the method returns.
    """

    def on_open(self, ws: WebSocket[F]) -> object:
        """Handle the open websocket; ``open_websocket`` returns after this call."""

    def on_text(self, frame: Text) -> object:
        """Handle a text frame, which may be a fragment (``frame.final`` is False)."""

    def on_binary(self, frame: Binary) -> object:
        """Handle a binary frame, which may be a fragment (``frame.final`` is False)."""

    def on_ping(self, frame: Ping) -> object:
        """Handle a Ping, which was answered before this call."""

    def on_pong(self, frame: Pong) -> object:
        """Handle a Pong."""

    def on_close(self, info: CloseInfo) -> object:
        """Handle the end of the websocket. This is the last call, and happens once, whatever ended the websocket."""

    def on_error(self, error: Exception) -> object:
        """Handle an error of another method, or the error that ended the websocket (a protocol error, a lost network).

        Errors of methods are logged unless this method is overridden.
        """

    def check(self, effect: Effect) -> None:
        """Raise :class:`InvalidHandler` if a method can't be called, or is async in a flavour that can't await."""
        for name in METHODS:
            method = getattr(self, name)
            if not callable(method):
                raise InvalidHandler(f"{type(self).__name__}.{name} is {method!r}, and can't be called")
            if inspect.iscoroutinefunction(method) and not effect.is_async:
                raise InvalidHandler(f"{type(self).__name__}.{name} is async, which this flavour can't await")

    async def start(self, effect: Effect, session: Session) -> WebSocket[Any]:
        """Call ``on_open``, start to deliver frames in the background, and return the websocket."""
        websocket = WebSocket[Any](session, effect)
        await _Delivery(self, effect, session).start(websocket)
        return websocket


class _Delivery:
    """The calls of one listener for one websocket, from ``on_open`` to ``on_close``."""

    def __init__(self, listener: Listener[Any], effect: Effect, session: Session) -> None:
        self._listener = listener
        self._effect = effect
        self._session = session
        self._methods: dict[type[Frame], Callable[[Any], object]] = {
            Text: listener.on_text,
            Binary: listener.on_binary,
            Ping: listener.on_ping,
            Pong: listener.on_pong,
        }
        self._listening = Listening(effect)
        self._has_begun = False
        self._refusal: BaseException | None = None  # with which the delivery could not begin

    async def start(self, websocket: WebSocket[Any]) -> None:
        try:
            self._session.listening = self._listening
            await self._call(self._listener.on_open, websocket)
        except BaseException as error:  # The caller was cancelled, or interrupted, and must not wait for the listener.
            self._session.abort(f"on_open was ended by {error!r}")
            self._effect.spawn(self._tell_of_end, self._note_done)
            raise
        try:
            self._session.begin_receiving()
            self._effect.spawn(self._run, self._note_done)
            await self._check_begun()
        except BaseException:
            self._session.end_listening()
            raise

    async def _tell_of_end(self) -> None:
        self._has_begun = True
        await self._call(self._listener.on_close, self._session.close_info)

    async def _check_begun(self) -> None:
        """Raise the error with which the system has refused to begin; the listener's last call comes first."""
        if self._refusal is not None:
            await self._call(self._listener.on_close, self._session.close_info)
            raise self._refusal

    async def _run(self) -> None:
        self._has_begun = True
        try:
            await self._deliver_until_closed()
        except BaseException as error:  # The event loop ends, a method exits, or there is a bug.
            self._session.abort(f"the listener was ended by {error!r}")
            if not self._effect.is_cancellation(error):
                await self._call(self._listener.on_error, error)
            raise
        finally:
            await self._call(self._listener.on_close, self._session.close_info)

    def _note_done(self, error: BaseException | None) -> None:
        if error is not None and not self._has_begun:
            self._refusal = error
            self._session.end_receiving()
            self._session.abort(f"the listener could not start: {error!r}")
        self._session.end_listening()

    async def _deliver_until_closed(self) -> None:
        try:
            await self._session.receive_each(self._deliver)
        except _MethodFailed:
            pass
        except WebSocketClosed as error:
            if error.close_info.cause is not CloseCause.CLOSE:
                await self._call(self._listener.on_error, error)
        await self._session.close()

    async def _deliver(self, frame: Frame) -> None:
        if not await self._call(self._methods[type(frame)], frame):
            raise _MethodFailed

    async def _call(self, method: Callable[[Any], object], argument: Any) -> bool:
        """Call a method and report its error; return whether further frames may be delivered."""
        try:
            with self._listening.calling():
                await await_result(self._effect, method(argument))
        except BaseException as error:
            if self._effect.is_cancellation(error):
                raise
            return await self._report(method, error)
        return True

    async def _report(self, method: Callable[[Any], object], error: BaseException) -> bool:
        name = type(self._listener).__name__
        is_after_end = is_own_end(self._session, error)
        if method == self._listener.on_error:
            get_logger().error("%s.on_error failed", name, exc_info=error)
        else:
            is_overridden = type(self._listener).on_error is not Listener[Any].on_error
            if not is_overridden and not is_after_end:
                get_logger().error("a method of %s failed", name, exc_info=error)
            await self._call(self._listener.on_error, _as_exception(error, f"{name}.{_name(method)}"))
        if not is_after_end:
            await self._session.close(close_codes.CALLBACK_RAISED)
        return is_after_end


class _MethodFailed(Exception):
    """The error of a listener's method was reported, and the websocket was closed."""


def _as_exception(error: BaseException, name: str) -> Exception:
    """Return the error, or a RuntimeError for a cancellation that was not meant for the listener."""
    if isinstance(error, Exception):
        return error
    reported = RuntimeError(f"{name} raised {error!r}, although the listener was not cancelled")
    reported.__cause__ = error
    return reported


def _name(method: Callable[[Any], object]) -> str:
    return getattr(method, "__name__", repr(method))


async def await_result(effect: Effect, value: object) -> Any:
    """Return the result of a user's function, awaited if it is an awaitable (async) or a future (threaded)."""
    if inspect.iscoroutine(value) and not effect.is_async:
        value.close()
        raise InvalidHandler(f"{value.__qualname__} is async, which this flavour can't await")
    from concurrent.futures import Future  # noqa: PLC0415 - slow to import

    is_lifted = inspect.isawaitable(value) if effect.is_async else isinstance(value, Future)
    try:
        return await effect.unlift(value) if is_lifted else value
    finally:
        del value  # A future's error has a traceback with this frame.
