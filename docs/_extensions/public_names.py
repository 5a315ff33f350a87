"""Signatures and names that autodoc can't find on its own.

A method of ``WebSocket[F]`` is a descriptor made of a program: its entry has the program's signature and docstring, and
its result in ``F``. A name in a docstring leads to its entry in ``polysocket``, from which users import it.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable
from typing import Any

from docutils import nodes  # type: ignore[import-untyped]
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.ext.autodoc.mock import mock
from sphinx.ext.napoleon import Config, GoogleDocstring
from sphinx.pycode import ModuleAnalyzer

import polysocket
import polysocket.connections
import polysocket.testing
from polysocket._lifting import lifted

SECTIONS = Config(napoleon_numpy_docstring=False, napoleon_custom_sections=["Cancellation"])


def method(owner: type, name: str, doc: str | None, signature: inspect.Signature) -> Callable[..., Any]:
    """Make a function that has this signature and does nothing."""

    def documented() -> None:
        raise NotImplementedError

    documented.__annotations__ = {}  # or its "None" goes before the signature
    documented.__name__ = name
    documented.__qualname__ = f"{owner.__qualname__}.{name}"
    documented.__module__ = owner.__module__
    documented.__doc__ = doc
    documented.__signature__ = signature  # type: ignore[attr-defined]
    return documented


def in_f(program: Callable[..., Any]) -> inspect.Signature:
    """Return a program's signature, with its result in F."""
    signature = inspect.signature(program)
    return signature.replace(return_annotation=f"F[{signature.return_annotation}]")


def either(name: str, end: str) -> Callable[..., Any]:
    """Make ``either`` or ``either_close``, whose argument is in F too."""
    parameters = [
        inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY),
        inspect.Parameter("call", inspect.Parameter.POSITIONAL_ONLY, annotation="Callable[[], F[T]]"),
    ]
    doc = inspect.getattr_static(polysocket.WebSocket, name).__doc__
    return method(polysocket.WebSocket, name, doc, inspect.Signature(parameters, return_annotation=f"F[T | {end}]"))


def opening(name: str, argument: str, kind: str) -> Callable[..., Any]:
    """Make ``open_websocket`` or ``open_websocket_f``, whose result depends on the handler."""
    parameters = [
        inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY),
        inspect.Parameter("request", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation="str | Request"),
        inspect.Parameter(argument, inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=kind),
    ]
    signature = inspect.Signature(parameters, return_annotation="F[WebSocketResponse[R]]")
    doc = inspect.getattr_static(polysocket.Backend, name).__doc__
    return method(polysocket.Backend, name, doc, signature)


def show_methods() -> None:
    """Replace the descriptors with plain functions; this process only writes documentation."""
    modules = "websocket", "_methods.receiving", "_methods.sending", "backend", "connections", "testing.strategies"
    for module in (f"polysocket.{name}" for name in modules):
        analyzer = ModuleAnalyzer.for_module(module)
        analyzer.analyze()
        analyzer.overloads.clear()  # One signature is shown instead.
    for owner in (*polysocket.WebSocket.__mro__, polysocket.Backend, polysocket.connections.Connections):
        for name, member in list(vars(owner).items()):
            if isinstance(member, lifted) and not name.startswith("_"):
                setattr(owner, name, method(owner, name, member.__doc__, in_f(member.__wrapped__)))
    polysocket.WebSocket.either_close = either("either_close", "Close")  # type: ignore[misc, assignment]
    polysocket.WebSocket.either = either("either", "Close | None")  # type: ignore[misc, assignment]
    polysocket.Backend.open_websocket = opening(  # type: ignore[misc, assignment]
        "open_websocket",
        "handler",
        "WebSocketHandler | Listener[F] | PipeHandler",
    )
    polysocket.Backend.open_websocket_f = opening(  # type: ignore[misc, assignment]
        "open_websocket_f",
        "make_handler",
        "Callable[[], F[WebSocketHandler | Listener[F] | PipeHandler]]",
    )


def show_connect_first() -> None:
    """Put ``connect`` before the other names of each flavour, and then ``reconnect``."""
    for name in ("blocking", "threaded", "asyncio", "trio", "anyio"):
        module: Any = importlib.import_module(f"polysocket.{name}")
        module.__all__.sort(key=lambda each: {"connect": 0, "reconnect": 1}.get(each, 2))
        if hasattr(module, "reconnect"):
            # autodoc would look for each default in the source, which has only those of three parameters.
            module.reconnect = without_source(module.reconnect)


def without_source(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make a function with the same name, signature and docstring, and another source."""

    def documented() -> None:
        raise NotImplementedError

    documented.__annotations__ = {}
    documented.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    for name in ("__name__", "__qualname__", "__module__", "__doc__"):
        setattr(documented, name, getattr(function, name))
    return documented


def mend_signature(
    app: Sphinx, what: str, name: str, obj: object, options: object, signature: str | None, returned: str | None
) -> tuple[str | None, str | None]:
    """Mend what autodoc can't write: a default that is made anew, and a type of Hypothesis, which is not imported."""
    if signature is not None:
        signature = signature.replace("<factory>", "Headers()")
        signature = re.sub(r"= (Deflate|Backoff)\([^)]*\)", r"= \1()", signature)
        signature = re.sub(r"<function (\w+)[^>]*>", r"\1", signature)
    if name.startswith("polysocket.testing.strategies."):
        returned = inspect.get_annotations(obj)["return"]  # type: ignore[arg-type]
    return signature, returned


def read_sections(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Read the sections Args, Raises and Cancellation of a docstring.

    napoleon as an extension would also take the docstring of a property, ``Status: …``, for a type and its meaning.
    """
    if what in ("class", "exception", "function", "method"):
        lines[:] = GoogleDocstring(lines, SECTIONS, app, what, name, obj, options).lines()


def resolve(app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.TextElement) -> nodes.Node | None:
    """Find the entry of a name in a docstring: ``OpeningFailed`` is ``polysocket.OpeningFailed``."""
    name = str(node.get("reftarget", "")).rpartition(".")[2]
    if name in polysocket.__all__:
        name = f"polysocket.{name}"
    elif name in polysocket.testing.__all__:
        name = f"polysocket.testing.{name}"
    elif name != "F":
        return None
    found = env.domains.python_domain.resolve_any_xref(env, node["refdoc"], app.builder, name, node, content)
    return found[0][1] if found else None


def setup(app: Sphinx) -> dict[str, bool]:
    """Prepare the modules, and connect the handlers."""
    with mock(app.config.autodoc_mock_imports):
        show_methods()
    show_connect_first()
    app.connect("autodoc-process-signature", mend_signature)
    app.connect("autodoc-process-docstring", read_sections)
    app.connect("missing-reference", resolve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
