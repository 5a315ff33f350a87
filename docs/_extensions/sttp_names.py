"""``sttp-names``: the table of sttp's names and polysocket's, made from a program that uses each of them.

A row begins with ``#: sttp's name | polysocket's, …`` and ends before the next ``#:``. A ``#:`` without ``|`` heads the
rows after it; the code after the last one is left out. polysocket's names are full, from ``polysocket`` on.
"""

import re
from itertools import pairwise
from pathlib import Path

from docutils import nodes  # type: ignore[import-untyped]
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

HEAD = re.compile(r"^#: (.*)\n", re.MULTILINE)


class SttpNames(SphinxDirective):
    """The directive; its argument is the program's path."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Make a table for each heading, with both names and the example in each row."""
        _, path = self.env.relfn2path(self.arguments[0])
        self.env.note_dependency(path)
        lines: list[str] = []
        for head, code in rows(Path(path).read_text(encoding="utf-8"))[:-1]:
            sttp, bar, ours = head.partition(" | ")
            if not bar:
                lines += ["", f".. rubric:: {head}", "", ".. list-table::", "   :header-rows: 1"]
                lines += ["   :class: sttp-names", "   :widths: 26 24 50", ""]
                lines += ["   * - sttp", "     - polysocket", "     - Example"]
                continue
            streams = ", ".join(f":py:obj:`~{name}`" for name in ours.split(", "))
            lines += [f"   * - {sttp}", f"     - {streams}", "     - .. code-block:: python", ""]
            lines += [f"          {line}" for line in code.splitlines()]
        return self.parse_text_to_nodes("\n".join(lines))


def rows(program: str) -> list[tuple[str, str]]:
    """Return each head with the code after it."""
    heads = list(HEAD.finditer(program))
    ends = [*(head.start() for head in heads), len(program)]
    return [(head[1], program[head.end() : end].strip()) for head, (_, end) in zip(heads, pairwise(ends), strict=True)]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("sttp-names", SttpNames)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
