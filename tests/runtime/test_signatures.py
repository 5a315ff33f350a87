"""Run time shows what types show, in each flavour: in ``inspect.signature``, ``help()`` and Jedi."""

from __future__ import annotations

import importlib.util
import inspect
import pydoc
import sys
import types
from pathlib import Path
from typing import Any, TypeVar

import pytest

import polysocket
from polysocket import (
    Async,
    ConnectOptions,
    Deflate,
    PolymorphicClient,
    WebSocket,
    basic_request,
    polymorphic,
    system_proxy,
)
from polysocket.testing import BackendStub
from tests.runtime.flavours import Flavour, every_flavour

F = TypeVar("F")

TIMEOUT = "*, timeout: 'float | None' = None"
COMPRESS = "*, compress: 'bool' = True, timeout: 'float | None' = None"
RECEIVE = "(self, *, pong_on_ping: 'bool' = True, timeout: 'float | None' = None)"
PARTS = "Iterable[str] | Iterable[bytes] | AsyncIterable[str] | AsyncIterable[bytes]"
SIGNATURES = {
    "receive": (RECEIVE, "Frame | Close"),
    "receive_data_frame": (RECEIVE, "DataFrame"),
    "receive_text_frame": (RECEIVE, "Text"),
    "receive_binary_frame": (RECEIVE, "Binary"),
    "receive_text": (RECEIVE, "str"),
    "receive_binary": (RECEIVE, "bytes"),
    "receive_message": (RECEIVE, "str | bytes"),
    "receive_many": (RECEIVE.replace("*, ", "*, max: 'int | None' = None, "), "list[str | bytes]"),
    "receive_json": (RECEIVE, "Any"),
    "send": (f"(self, frame: 'Frame | Close', is_continuation: 'bool' = False, {COMPRESS})", "None"),
    "send_text": (f"(self, text: 'str', {COMPRESS})", "None"),
    "send_binary": (f"(self, data: 'bytes', {COMPRESS})", "None"),
    "send_many": (f"(self, messages: 'Iterable[str | bytes]', {COMPRESS})", "None"),
    "send_json": (f"(self, value: 'Any', {COMPRESS})", "None"),
    "send_fragments": (f"(self, parts: '{PARTS}', {COMPRESS})", "None"),
    "ping": ("(self, payload: 'bytes | None' = None, *, timeout: 'float | None' = None)", "float"),
    "pong": (f"(self, payload: 'bytes' = b'', {TIMEOUT})", "None"),
    "close": ("(self, code: 'int' = <CloseCode.NORMAL_CLOSURE: 1000>, reason: 'str' = '')", "None"),
    "either": ("(self, call: 'Callable[[], Any]', /)", "Any | Close | None"),
    "either_close": ("(self, call: 'Callable[[], Any]', /)", "Any | Close"),
}
ITERATORS = {"messages", "receive_fragments"}  # the same in each flavour that has iteration, and not in F
DEFAULTS = {
    "headers": None,
    "subprotocols": None,
    "origin": None,
    "auth": None,
    "cookies": None,
    "user_agent": f"polysocket/{polysocket.__version__}",
    "compression": Deflate(),
    "max_message_size": 1024 * 1024,
    "max_redirects": 10,
    "open_timeout": 10,
    "close_timeout": 10,
    "ping_interval": 20,
    "ping_timeout": 20,
    "auto_pong": True,
    "buffer": None,
    "ssl": None,
    "server_hostname": None,
    "host": None,
    "port": None,
    "local_address": None,
    "sock": None,
    "unix_path": None,
    "proxy": system_proxy,
    "logger": None,
}
OF_BACKENDS = {
    "open_websocket": (
        "(self, request: 'str | Request', handler: 'WebSocketHandler | Listener[Any] | PipeHandler')",
        "WebSocketResponse[Any]",
    ),
    "open_websocket_f": (
        "(self, request: 'str | Request', make_handler: 'Callable[[], Any]')",
        "WebSocketResponse[Any]",
    ),
    "close": ("(self)", "None"),
}


@polymorphic
async def login(ws: WebSocket[Any], user: str, *, token: str | None = None) -> int:
    """Log in."""
    await ws.send_text(f"{user} {token}")
    return 1


class Account(PolymorphicClient[F]):
    @polymorphic
    async def balance(self: Account[Async], *, currency: str = "EUR") -> int:
        """Return the balance."""
        await self.websocket.send_text(currency)
        return 5


def helped(value: object) -> str:
    return pydoc.plain(pydoc.render_doc(value))


def has_help(value: object, text: str) -> bool:
    """Return whether ``help()`` has this text; Python 3.13 and later split a long signature."""
    text, whole = ("".join(each.replace("|", "").split()) for each in (text, helped(value)))
    return text in whole


def first_line(value: Any) -> str:
    return str(inspect.getdoc(value)).partition("\n")[0]


def test_every_public_method_is_tested() -> None:
    for owner, methods in ((WebSocket, {*SIGNATURES, *ITERATORS}), (polysocket.Backend, {"connect", *OF_BACKENDS})):
        names = {name for name in dir(owner) if not name.startswith("_")}
        assert {name for name in names if not isinstance(getattr(owner, name), property)} == methods


@every_flavour
@pytest.mark.parametrize("name", SIGNATURES)
def test_a_method_of_a_websocket_has_its_signature_in_f(flavour: Flavour, name: str) -> None:
    has_signature_in_f(flavour, flavour.websocket_class, flavour.websocket(), name, *SIGNATURES[name])


@every_flavour
@pytest.mark.parametrize("name", OF_BACKENDS)
def test_a_method_of_a_backend_has_its_signature_in_f(flavour: Flavour, name: str) -> None:
    has_signature_in_f(flavour, flavour.backend_class, flavour.backend(), name, *OF_BACKENDS[name])


def has_signature_in_f(flavour: Flavour, owner: Any, instance: Any, name: str, arguments: str, result: str) -> None:
    function, method = getattr(owner, name), getattr(instance, name)
    written = f"{arguments} -> {flavour.written.format(result)!r}"
    assert isinstance(function, types.FunctionType)
    assert isinstance(method, types.MethodType)
    assert str(inspect.signature(function)) == written
    assert str(inspect.signature(method)) == written.replace("(self, ", "(").replace("(self)", "()")
    assert inspect.iscoroutinefunction(function) is inspect.iscoroutinefunction(method) is flavour.is_async
    assert function.__name__ == name
    assert has_help(function, f"{name}{written}{function.__doc__}")
    assert has_help(owner, f"{name}{written}")


@pytest.mark.parametrize("name", SIGNATURES)
def test_a_method_of_the_common_class_has_the_signature_of_its_program(name: str) -> None:
    arguments, result = SIGNATURES[name]
    function = getattr(WebSocket, name)
    assert str(inspect.signature(function)) == f"{arguments} -> {result!r}"
    assert has_help(function, f"{name}{arguments} -> {result!r}{function.__doc__}")
    assert has_help(WebSocket, f"{name}{arguments} -> {result!r}")


@every_flavour
def test_a_backend_that_wraps_another_has_signatures_too(flavour: Flavour) -> None:
    for backend in (polysocket.LoggingBackend(flavour.backend()), BackendStub.of(flavour.tag)):
        assert list(inspect.signature(backend.open_websocket).parameters) == ["request", "handler"]
        assert inspect.iscoroutinefunction(backend.open_websocket) is flavour.is_async
        assert first_line(backend.open_websocket).startswith("Open a websocket for a handler")


@every_flavour
def test_connect_shows_each_option_with_its_default(flavour: Flavour) -> None:
    target, *options = inspect.signature(flavour.module.connect).parameters.values()
    assert target.kind is inspect.Parameter.POSITIONAL_ONLY
    assert {option.name: option.default for option in options} == DEFAULTS
    for option in options:
        assert option.kind is inspect.Parameter.KEYWORD_ONLY
        assert option.annotation == ConnectOptions.__annotations__[option.name].__forward_arg__
        assert f"    {option.name}: " in helped(flavour.module.connect)
    assert "Raises:\n" in helped(flavour.module.connect)
    assert "**" not in str(inspect.signature(flavour.module.connect))


@every_flavour
@pytest.mark.parametrize("name", ["connect", "reconnect"])
def test_a_url_given_by_name_is_refused_with_a_hint(flavour: Flavour, name: str) -> None:
    callers: list[Any] = [getattr(flavour.module, name, None)]
    if name == "connect":
        backends = flavour.backend(), polysocket.LoggingBackend(flavour.backend()), BackendStub.of(flavour.tag)
        callers.extend(backend.connect for backend in backends)
    for caller in filter(None, callers):
        for keyword in ("uri", "url", "url_or_request"):
            with pytest.raises(TypeError) as caught:
                flavour.result(lambda: caller(open_timeout=5, **{keyword: "ws://localhost/"}))  # noqa: B023 - called at once
            text = f"{name}() got an unexpected keyword argument {keyword!r}; for that there is the first argument"
            assert text in str(caught.value)
        for options in ({}, {"open_timeout": 5}):
            with pytest.raises(TypeError) as caught:
                flavour.result(lambda: caller(**options))  # noqa: B023 - as above
            assert str(caught.value) == f"{name}() missing 1 required positional argument: 'url_or_request'"


@every_flavour
def test_a_backend_shows_each_option_with_its_default(flavour: Flavour) -> None:
    parameters = inspect.signature(flavour.backend_class).parameters.values()
    assert {each.name: each.default for each in parameters} == {
        "ssl": None,
        "proxy": system_proxy,
        "request": basic_request,
    }


@every_flavour
def test_connect_of_a_backend_is_the_connect_of_its_flavour(flavour: Flavour) -> None:
    function = flavour.backend_class.connect
    assert isinstance(function, types.FunctionType)
    result = "ConnectCall[{}]" if flavour.is_async else flavour.written
    of_flavour = [*inspect.signature(flavour.module.connect).parameters.values()]
    for backend in (flavour.backend(), polysocket.LoggingBackend(flavour.backend()), BackendStub.of(flavour.tag)):
        signature = inspect.signature(backend.connect)
        assert [*signature.parameters.values()] == of_flavour
        assert signature.return_annotation == result.format("WebSocket[Any]")
        assert not inspect.iscoroutinefunction(backend.connect)
    assert has_help(function, "user_agent: The User-Agent header; None sends none.")
    assert has_help(flavour.backend_class, "BackendClosed: The backend was closed.")


@every_flavour
def test_a_polymorphic_program_has_its_signature(flavour: Flavour) -> None:
    account = Account(flavour.websocket())
    assert list(inspect.signature(login).parameters) == ["ws", "user", "token"]
    assert "Log in." in helped(login)
    assert list(inspect.signature(Account.balance).parameters) == ["self", "currency"]
    assert str(inspect.signature(account.balance)) == "(*, currency: 'str' = 'EUR') -> 'int'"
    assert inspect.iscoroutinefunction(account.balance) is flavour.is_async
    assert "Return the balance." in helped(Account)
    assert account.balance.__doc__ == "Return the balance."


needs_jedi = pytest.mark.skipif(importlib.util.find_spec("jedi") is None, reason="jedi is not installed")


@pytest.fixture(scope="module")
def jedi_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("jedi")


@pytest.fixture(autouse=True)
def jedi_in_pytest(monkeypatch: pytest.MonkeyPatch, jedi_cache: Path) -> None:
    """Jedi without pytest's import hook, whose loader it can't read, and without a cache that other processes share."""
    finders = [finder for finder in sys.meta_path if not type(finder).__module__.startswith("_pytest")]
    monkeypatch.setattr(sys, "meta_path", finders)
    if importlib.util.find_spec("jedi") is not None:
        monkeypatch.setattr("jedi.settings.cache_directory", str(jedi_cache))


def completed(code: str, **names: object) -> set[str]:
    """Complete code as IPython does."""
    import jedi  # type: ignore[import-untyped, unused-ignore]

    return {completion.name for completion in jedi.Interpreter(code, [names]).complete()}


def signatures(code: str, **names: object) -> set[str]:
    import jedi

    return {signature.to_string() for signature in jedi.Interpreter(code, [names]).get_signatures()}


@needs_jedi
@every_flavour
def test_jedi_completes_methods_and_arguments(flavour: Flavour) -> None:
    ws, backend = flavour.websocket(), flavour.backend()
    assert completed("ws.", ws=ws) >= {*SIGNATURES, *ITERATORS}
    assert "timeout=" in completed("ws.receive_text(time", ws=ws)
    assert signatures("ws.send_text(", ws=ws) == {
        "send_text(text: 'str', *, compress: 'bool'=True, timeout: 'float | None'=None)"
    }
    assert completed("backend.", backend=backend) >= set(OF_BACKENDS)
    assert "handler=" in completed("backend.open_websocket('', hand", backend=backend)
    assert "currency=" in completed("account.balance(", account=Account(ws))


@needs_jedi
@every_flavour
def test_jedi_completes_options(flavour: Flavour) -> None:
    options = {f"{name}=" for name in ConnectOptions.__annotations__}
    assert completed("connect('', ", connect=flavour.module.connect) >= options
    assert completed("backend.connect('', ", backend=flavour.backend()) >= options
    assert completed("Backend(", Backend=flavour.backend_class) >= {"ssl=", "proxy=", "request="}
