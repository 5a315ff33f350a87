"""``connect-options``: the options of ``connect`` with their types and defaults, from ``ConnectOptions``."""

from __future__ import annotations

import inspect
import typing
from typing import Any

from docutils import nodes  # type: ignore[import-untyped]
from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.docutils import SphinxDirective

from polysocket import ConnectOptions, Deflate, basic_request, blocking
from polysocket._opening import options


class Options(SphinxDirective):
    """The directive: a table with one row for each option."""

    def run(self) -> list[nodes.Node]:
        """Make the table; an option without a docstring is an error."""
        analyzer = ModuleAnalyzer.for_module(ConnectOptions.__module__)
        self.env.note_dependency(analyzer.srcname)
        docs = {name: " ".join(doc).strip() for (_, name), doc in analyzer.find_attr_docs().items()}
        docs.update(getattr(options, "OPTION_DOCS", {}))
        lines = [".. list-table::", "   :header-rows: 1", "   :widths: 20 22 16 42", ""]
        lines += ["   * - Option", "     - Type", "     - Default", "     - Meaning"]
        for name, annotation in ConnectOptions.__annotations__.items():
            if name not in docs:
                raise self.error(f"the option {name} has no docstring")
            written = annotation.__forward_arg__ if isinstance(annotation, typing.ForwardRef) else str(annotation)
            lines += [f"   * - ``{name}``", f"     - ``{written}``", f"     - {shown(default(name))}"]
            lines += [f"     - {docs[name]}"]
        return self.parse_text_to_nodes("\n".join(lines))


def default(name: str) -> Any:
    """Return an option's default: that of ``connect``, or that of the request which ``connect`` begins with."""
    parameter = inspect.signature(blocking.connect).parameters.get(name)
    if parameter is not None and (parameter.default is None or isinstance(parameter.default, int | float | Deflate)):
        return parameter.default
    return getattr(basic_request, name, None)


def shown(value: Any) -> str:
    """Write a default as a program would."""
    if value == Deflate():
        return "``Deflate()``"
    if isinstance(value, int) and value and value % 1024**2 == 0:
        return f"``{value}`` ({value // 1024**2} MiB)"
    return f"``{value!r}``"


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("connect-options", Options)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
