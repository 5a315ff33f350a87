"""``limits``: every limit with its default, its reason and its option, from the constants and their comments."""

from __future__ import annotations

from docutils import nodes  # type: ignore[import-untyped]
from limit_rows import LIMITS
from source_index import PACKAGE, definition, reason
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


class Limits(SphinxDirective):
    """The directive: a table with one row for each limit."""

    def run(self) -> list[nodes.Node]:
        """Make the table."""
        lines = [".. list-table::", "   :header-rows: 1", "   :widths: 22 18 42 18", ""]
        lines += ["   * - Limit of", "     - Default", "     - Reason", "     - Set with"]
        for limit in LIMITS:
            for word in limit.constants:
                self.env.note_dependency(str(PACKAGE / definition(word).path))
            why = " ".join(reason(word) for word in limit.constants)
            lines += [f"   * - {limit.of}", f"     - {limit.default}", f"     - {why}", f"     - {limit.option}"]
        return self.parse_text_to_nodes("\n".join(lines))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("limits", Limits)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
