"""``connect-options``: the options of ``connect`` with their types, defaults and meanings, from its signature."""

from __future__ import annotations

import inspect
from typing import Any

from docutils import nodes  # type: ignore[import-untyped]
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from polysocket import Deflate, blocking
from polysocket._opening import options


class Options(SphinxDirective):
    """The directive: a table with one row for each option."""

    def run(self) -> list[nodes.Node]:
        """Make the table; ``connect`` has the same options in every flavour."""
        self.env.note_dependency(options.__file__)
        lines = [".. list-table::", "   :header-rows: 1", "   :widths: 20 22 16 42", ""]
        lines += ["   * - Option", "     - Type", "     - Default", "     - Meaning"]
        for name, option in inspect.signature(blocking.connect).parameters.items():
            if option.kind is option.KEYWORD_ONLY:
                lines += [f"   * - ``{name}``", f"     - ``{option.annotation}``", f"     - {shown(option.default)}"]
                lines += [f"     - {options.OPTION_DOCS[name]}"]
        return self.parse_text_to_nodes("\n".join(lines))


def shown(value: Any) -> str:
    """Write a default as a program would."""
    if value == Deflate():
        return "``Deflate()``"
    if callable(value):
        return f":func:`~polysocket.{value.__name__}`"
    if isinstance(value, int) and value and value % 1024**2 == 0:
        return f"``{value}`` ({value // 1024**2} MiB)"
    return f"``{value!r}``"


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("connect-options", Options)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
