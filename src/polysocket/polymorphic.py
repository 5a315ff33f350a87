"""Users' own programs, written once for every flavour: :class:`polymorphic`, and a class of such methods.

Subclass :class:`PolymorphicClient` for a protocol on top of WebSocket.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine
from types import MethodType
from typing import TYPE_CHECKING, Any, Concatenate, Final, Generic, ParamSpec, TypeVar, cast, overload

from polysocket._lifting import HasEffect
from polysocket.effects import Async, Blocking, CoroutineEffect, Lifter, Threaded, foreign_await
from polysocket.websocket import WebSocket

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = ["PolymorphicClient", "polymorphic"]

P = ParamSpec("P")
T = TypeVar("T")
F_co = TypeVar("F_co", covariant=True)


class PolymorphicClient(HasEffect[F_co]):
    """The base of a class whose ``@polymorphic`` methods return their results in the ``F`` of its websocket.

    Annotate ``self`` in such a method with ``Async`` (``self: MyClient[Async]``). In the method, ``self.websocket`` is
    a ``WebSocket[Async]``, and calls of other polymorphic methods are awaited, whatever the flavour. All other
    attributes are the object's own, and may be set. A subclass has no ``__slots__``.
    """

    __slots__ = ("_effect", "_websocket")  # These differ in a program's view of the object; __dict__ is shared.

    _effect: Lifter
    _websocket: WebSocket[F_co]

    def __init__(self, websocket: WebSocket[F_co]) -> None:
        if not isinstance(websocket, WebSocket):
            raise TypeError(f"{type(self).__name__}() takes a WebSocket, not {type(websocket).__name__}")
        self._websocket = websocket
        self._effect = websocket._effect

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "__slots__" in cls.__dict__:
            raise TypeError(f"{cls.__name__} has __slots__, which a PolymorphicClient can't share with its programs")

    @property
    def websocket(self) -> WebSocket[F_co]:
        """The client's websocket."""
        return self._websocket

    def _for_programs(self) -> PolymorphicClient[Async]:
        """Return the client for use in a program: its methods are coroutine functions, whatever the flavour."""
        if self._effect.is_async:
            return cast("PolymorphicClient[Async]", self)
        view = cast("PolymorphicClient[Async]", object.__new__(type(self)))
        view.__dict__ = self.__dict__
        view._websocket = self._websocket._for_programs()
        view._effect = CoroutineEffect()
        return view


class _Method(Generic[P, T]):
    """A polymorphic method as an attribute of its class, for type checkers: a function that takes the client first."""

    @overload
    def __call__(self, client: PolymorphicClient[Blocking], /, *args: P.args, **kwargs: P.kwargs) -> T: ...
    @overload
    def __call__(
        self, client: PolymorphicClient[Async], /, *args: P.args, **kwargs: P.kwargs
    ) -> Coroutine[Any, Any, T]: ...
    @overload
    def __call__(self, client: PolymorphicClient[Threaded], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]: ...
    def __call__(self, client: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Run the program."""


class polymorphic(Generic[P, T]):  # noqa: N801 - a decorator
    """Make a program over ``WebSocket[Async]`` callable with a websocket of any flavour.

    The call returns ``T`` for a ``WebSocket[Blocking]``, a coroutine for an asynchronous one, and a future for a
    ``WebSocket[Threaded]``. A program may await the websocket's methods, other polymorphic programs, and what
    ``ws.effect`` has: time, events, background programs. If it awaits anything else, such as ``asyncio.sleep``, the
    blocking and the threaded flavour raise RuntimeError.

    The decorator also makes methods of a :class:`PolymorphicClient`, whose flavour is its websocket's. Raises TypeError
    for anything but an ``async def``.
    """

    def __init__(self, program: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]) -> None:
        if not inspect.iscoroutinefunction(inspect.unwrap(program)):
            name = getattr(program, "__qualname__", repr(program))
            raise TypeError(f"a polymorphic program is an async def that returns, which {name} is not")
        self.__wrapped__ = program
        self._takes: type[WebSocket[Any] | PolymorphicClient[Any]] = WebSocket
        functools.update_wrapper(cast("Any", self), program)

    def __set_name__(self, owner: type, name: str) -> None:
        if issubclass(owner, PolymorphicClient):
            self._takes = owner

    @overload
    def __call__(self, ws: WebSocket[Blocking], /, *args: P.args, **kwargs: P.kwargs) -> T: ...
    @overload
    def __call__(self, ws: WebSocket[Async], /, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, T]: ...
    @overload
    def __call__(self, ws: WebSocket[Threaded], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]: ...
    def __call__(self, ws: Any = None, /, *args: Any, **kwargs: Any) -> Any:
        """Run the program with this websocket. Raises TypeError if the first argument is not one."""
        if not isinstance(ws, self._takes):
            hint = ", whose .websocket is one" if isinstance(ws, PolymorphicClient) else ""
            hint = ": give it by position, not by name" if ws is None else hint
            given = type(cast("object", ws)).__name__
            raise TypeError(f"{self.__wrapped__.__name__}() takes a {self._takes.__name__} first, not {given}{hint}")
        return ws._effect.lift(self._for(ws._effect))(ws._for_programs(), *args, **kwargs)

    def _for(self, effect: Lifter) -> Callable[..., Coroutine[Any, Any, Any]]:
        """Return the program; if the flavour can't await what is foreign to it, one that raises a clear error then."""
        program: Callable[..., Coroutine[Any, Any, Any]] = self.__wrapped__
        return program if effect.is_async else _explained(program)

    @overload
    def __get__(self, client: None, owner: Any = None) -> _Method[P, T]: ...
    @overload
    def __get__(self, client: PolymorphicClient[Blocking], owner: Any = None) -> Callable[P, T]: ...
    @overload
    def __get__(self, client: PolymorphicClient[Async], owner: Any = None) -> Callable[P, Coroutine[Any, Any, T]]: ...
    @overload
    def __get__(self, client: PolymorphicClient[Threaded], owner: Any = None) -> Callable[P, Future[T]]: ...
    def __get__(self, client: Any, owner: Any = None) -> Any:
        if client is None:
            return self
        if not isinstance(client, PolymorphicClient):
            name, owner = self.__wrapped__.__qualname__, type(client).__name__
            raise TypeError(f"{name}() is polymorphic, so {owner} must be a PolymorphicClient")
        return client._effect.lift(MethodType(self._for(client._effect), client._for_programs()))


_LIBRARIES: Final = frozenset({"aiohttp", "anyio", "asyncio", "sniffio", "trio"})
"""The packages whose calls need an event loop, and raise RuntimeError or AttributeError if none runs."""

_NO_LOOP: Final = "no running event loop"  # the text of asyncio.get_running_loop(), which has no frame since it is in C


def _explained(program: Callable[..., Coroutine[Any, Any, T]]) -> Callable[..., Coroutine[Any, Any, T]]:
    """Return the program with a clear error if it awaits what needs an event loop."""

    @functools.wraps(program)
    async def run(*args: Any, **kwargs: Any) -> T:
        try:
            return await program(*args, **kwargs)
        except (
            RuntimeError,
            AttributeError,
        ) as error:  # AttributeError: asyncio.Queue asks None, its loop, for a future.
            if (awaited := _library_call(error)) is None:
                raise
            raise foreign_await(program, awaited) from error

    return run


def _library_call(error: Exception) -> str | None:
    """Return the call that raised the error if it belongs to one of the libraries, such as ``asyncio.sleep()``."""
    call, traceback = None, error.__traceback__
    while traceback is not None:
        frame, traceback = traceback.tb_frame, traceback.tb_next
        package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if package not in _LIBRARIES:
            call = None
        elif call is None:
            name = frame.f_code.co_qualname.partition(".__")[0]  # a class, for its __init__ or __aenter__
            call = f"{package}.{name}()"
    return "asyncio.get_running_loop()" if call is None and str(error) == _NO_LOOP else call
