"""Methods whose results come in ``F``: programs in the body of a class, lifted by the effect of a flavour.

A *flavour's class* names its effect: ``class WebSocket(websocket.WebSocket[Asyncio], effect=AsyncioEffect())``. Each
program that it inherits becomes a function of the class itself: a coroutine function in asyncio and trio, a plain
function in the blocking and the threaded flavour. So a call costs nothing more, and ``inspect``, ``mock`` and
``super()`` meet ordinary methods. An object of any other class, such as a backend that wraps another one, has the
effect itself, and each lookup of a method lifts its program.
"""

from __future__ import annotations

import functools
import inspect
import re
from abc import ABCMeta
from collections.abc import Callable, Coroutine
from types import MethodType, TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, Self, TypeVar, cast, overload

from polysocket.effects import Async, Blocking, Lifter, Threaded, polling

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = ["HasEffect", "HasWith", "lifted", "lifted_overloads", "wait_for_result"]

P = ParamSpec("P")
T = TypeVar("T")
F_co = TypeVar("F_co", covariant=True)
B = TypeVar("B", bound="HasWith[Blocking] | HasWith[Threaded]")
C = TypeVar("C", bound="HasWith[Async]")


class HasEffect(Generic[F_co]):
    """An object whose methods return their results in ``F``."""

    _effect: Lifter

    def _refuse(self, used: str, *, if_async: bool) -> None:
        """Raise TypeError if the flavour needs the other one of ``with`` and ``async with``, or of the two ``for``."""
        if self._effect.is_async is if_async:
            right = f"async {used}" if if_async else used.removeprefix("async ")
            raise TypeError(f"a {type(self).__name__} of this flavour is for {right!r}, not {used!r}")


class lifted(Generic[P, T]):  # noqa: N801 - used like a decorator
    """A method made of a program: its signature and docstring are the program's, its result is in ``F``."""

    def __init__(self, program: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]) -> None:
        self.__wrapped__ = program
        functools.update_wrapper(cast("Any", self), program)

    @overload
    def __get__(self, instance: None, owner: Any = None) -> Self: ...
    @overload
    def __get__(self, instance: HasEffect[Blocking], owner: Any = None) -> Callable[P, T]: ...
    @overload
    def __get__(self, instance: HasEffect[Async], owner: Any = None) -> Callable[P, Coroutine[Any, Any, T]]: ...
    @overload
    def __get__(self, instance: HasEffect[Threaded], owner: Any = None) -> Callable[P, Future[T]]: ...
    def __get__(self, instance: HasEffect[Any] | None, owner: Any = None) -> Any:
        if instance is None:
            return self
        return instance._effect.lift(MethodType(self.__wrapped__, instance))

    @overload
    def __call__(self, instance: HasEffect[Blocking], /, *args: P.args, **kwargs: P.kwargs) -> T: ...
    @overload
    def __call__(self, instance: HasEffect[Async], /, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, T]: ...
    @overload
    def __call__(self, instance: HasEffect[Threaded], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]: ...
    def __call__(self, instance: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Run the program with an object of any flavour: ``WebSocket.send_text(ws, "Hello!")``."""
        if not isinstance(instance, HasEffect):
            owner, _, name = self.__wrapped__.__qualname__.rpartition(".")
            raise TypeError(f"{name}() takes a {owner} first, not {type(instance).__name__}")
        return instance._effect.lift(self.__wrapped__)(instance, *args, **kwargs)

    def lift(self, effect: Lifter) -> Callable[..., Any]:
        """Make the function that a flavour's class has."""
        program: Callable[..., Coroutine[Any, Any, Any]] = self.__wrapped__
        function: Callable[..., Any] = effect.lift(program)
        if function is not program:
            shown: Any = functools.update_wrapper(function, program)
            shown.program = program  # a mark for code that must know whether a method was overridden
            del shown.__wrapped__  # With it, mock would take the function for a coroutine function (Python 3.13).
            signature = inspect.signature(program)
            result = _in_f(effect, str(signature.return_annotation))
            shown.__signature__ = signature.replace(return_annotation=result)
            shown.__annotations__ = {**program.__annotations__, "return": result}
        return function


def lifted_overloads(program: Callable[..., Coroutine[Any, Any, Any]]) -> Any:
    """Lift a program whose ``@overload``s, one for each flavour, stand above: its argument or result needs them."""
    return lifted(program)


def _in_f(effect: Lifter, result: str) -> str:
    """Write a result in ``F`` as the effect's ``lift`` is annotated: ``Future[T]`` is ``Future[str]`` for a str."""
    returned = re.fullmatch(r"Callable\[P, (.+)\]", str(type(effect).lift.__annotations__.get("return")))
    return re.sub(r"\bT\b", lambda _: result, returned[1]) if returned else result


class Flavoured(ABCMeta):
    """The metaclass of classes that have methods of a flavour.

    A program that is replaced later, as ``mock.patch.object(polysocket.WebSocket, "send_text")`` does, is replaced in
    the class of each flavour, too. It is an ABCMeta since a user's subclass may be an ABC.
    """

    _functions: dict[str, Callable[..., Any]]  # made of programs, by their names

    if not TYPE_CHECKING:  # A type checker would allow any attribute to be set.

        def __setattr__(cls, name: str, value: object) -> None:
            super().__setattr__(name, value)
            cls._lift_in_subclasses(name)

        def __delattr__(cls, name: str) -> None:
            super().__delattr__(name)
            cls._lift_in_subclasses(name)

    def _lift_in_subclasses(cls, name: str) -> None:
        for subclass in cast("list[Flavoured]", type.__subclasses__(cls)):
            if "_functions" in vars(subclass):
                subclass._lift_inherited(name)
            subclass._lift_in_subclasses(name)

    def _lift_inherited(cls, name: str) -> None:
        """Make a function of the inherited program of this name, if the class has no method of its own."""
        function, own = cls._functions.get(name), vars(cls).get(name)
        if own is not function and own is not None:
            return
        inherited = next((vars(base)[name] for base in cls.__mro__[1:] if name in vars(base)), None)
        if issubclass(type(inherited), lifted):  # A mock with a lifted method as its spec only looks like one.
            cls._functions[name] = cast("lifted[..., Any]", inherited).lift(cast("HasEffect[Any]", cls)._effect)
            type.__setattr__(cls, name, cls._functions[name])
        elif own is not None:
            type.__delattr__(cls, name)


class HasWith(HasEffect[F_co], metaclass=Flavoured):
    """An object for ``with`` or ``async with``, as its ``F`` needs, and the base of the classes of the flavours."""

    def __init_subclass__(cls, *, effect: Lifter | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if effect is not None:
            cls._effect = effect
            cls._functions = {}
            for name in {name for base in cls.__mro__[1:] for name in vars(base)}:
                cls._lift_inherited(name)

    @lifted
    async def _close_after(self, error: BaseException | None, /) -> None:
        """Close at the end of a block that has raised this error, if any."""
        raise NotImplementedError

    def __enter__(self: B) -> B:
        self._refuse("with", if_async=True)
        return self

    def __exit__(
        self: HasWith[Blocking] | HasWith[Threaded],
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        wait_for_result(self._close_after(error))

    async def __aenter__(self: C) -> C:
        self._refuse("async with", if_async=False)
        return self

    async def __aexit__(
        self: HasWith[Async], kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self._close_after(error)


def wait_for_result(value: T | Future[T]) -> T:
    """Return the plain result of a call in the blocking or the threaded flavour; wait if it is a future."""
    from concurrent.futures import Future  # noqa: PLC0415 - slow to import

    try:
        return polling.wait_for_result(cast("Future[T]", value)) if isinstance(value, Future) else value
    finally:
        del value  # Its error has a traceback with this frame.
