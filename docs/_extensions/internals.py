"""``:source:``, ``layers`` and ``close-codes``: what the page for maintainers draws from the code.

A word in ``:source:`` is followed by the file of its definition. A word without a definition, or with two, is a
warning, which fails the build.
"""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

from docutils import nodes  # type: ignore[import-untyped]
from source_index import PACKAGE, NotOneDefinition, definition
from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.docutils import SphinxDirective, SphinxRole

from polysocket._core import close_codes

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


class Source(SphinxRole):
    """The role: the word to grep for, and the file in which it leads to one definition."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Return the word and its place."""
        try:
            found = definition(self.text)
        except NotOneDefinition as error:
            message = self.inliner.reporter.warning(str(error), line=self.lineno)
            return [self.inliner.problematic(self.rawtext, self.rawtext, message)], [message]
        self.env.note_dependency(str(PACKAGE / found.path))
        return [nodes.literal(text=self.text), nodes.Text(f" ({found.path})")], []


class Layers(SphinxDirective):
    """The directive: the layers that import-linter checks, from top to bottom, and what each module is for.

    Each line of its content is the title of a layer.
    """

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Draw a row for each layer, with a box for each unit of it, and write the table below."""
        self.env.note_dependency(str(PYPROJECT))
        rows, titles = list(layers()), list(self.content)
        if len(rows) != len(titles):
            raise self.error(f"layers needs {len(rows)} titles, one for each of {[' '.join(row) for row in rows]}")
        picture = nodes.container(classes=["layers"])
        for title, row in zip(titles, rows, strict=True):
            drawn = nodes.container(classes=["layer"])
            drawn += self.parse_text_to_nodes(title)
            drawn += nodes.container("", *(box(unit) for unit in row), classes=["units"])
            picture += drawn
        lines = [".. dropdown:: Modules and their purpose", "", "   .. list-table::", "      :header-rows: 1"]
        lines += ["      :widths: 30 70", "", "      * - Module", "        - Purpose"]
        for module in (module for row in rows for unit in row for module in modules_of(unit)):
            self.env.note_dependency(str(path_of(module)))
            lines += [f"      * - ``{module}``", f"        - {purpose(module)}"]
        return [picture, *self.parse_text_to_nodes("\n".join(lines))]


def layers() -> Iterator[list[str]]:
    """Return the units of each layer, from top to bottom: the folders and modules of the contract that lint checks."""
    contracts = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
    for layer in next(each for each in contracts if each["type"] == "layers")["layers"]:
        units = [unit.strip(" ()") for unit in layer.replace(":", "|").split("|")]
        if found := [unit for unit in units if path_of(unit).exists()]:
            yield found


def box(unit: str) -> nodes.container:
    """Draw a unit: its name, and the names of the modules in a folder."""
    inside = [module.removeprefix(f"{unit}/") for module in modules_of(unit) if module != unit]
    text = nodes.paragraph("", "", nodes.strong(text=unit))
    if inside:
        text += nodes.Text(f" {' '.join(inside)}")
    return nodes.container("", text, classes=["unit"])


def modules_of(unit: str) -> list[str]:
    """Return the modules and folders in a folder, or the module itself."""
    found = sorted((PACKAGE / unit).glob("*"))
    inside = [each.stem for each in found if each.suffix == ".py" or (each / "__init__.py").exists()]
    return [f"{unit}/{each}" for each in inside if not each.startswith("__")] or [unit]


def path_of(module: str) -> Path:
    """Return the file of a module or of a folder."""
    path = PACKAGE / module
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def purpose(module: str) -> str:
    """Return the first paragraph of a module's docstring, or of a folder's."""
    doc = ast.get_docstring(ast.parse(path_of(module).read_text(encoding="utf-8"))) or ""
    return doc.partition("\n\n")[0].replace("\n", " ").rstrip(".")


class CloseCodes(SphinxDirective):
    """The directive: the table of events and their close codes, from the constants and their docstrings."""

    def run(self) -> list[nodes.Node]:
        """Make a table with one row for each constant."""
        analyzer = ModuleAnalyzer.for_module(close_codes.__name__)
        self.env.note_dependency(analyzer.srcname)
        lines = [".. list-table::", "   :header-rows: 1", "   :widths: 46 27 27", ""]
        lines += ["   * - Event", "     - Close code", "     - Constant"]
        for (_, name), doc in analyzer.find_attr_docs().items():
            code = getattr(close_codes, name)
            lines += [f"   * - {' '.join(doc).strip()}", f"     - {int(code)} ``{code.name}``", f"     - ``{name}``"]
        return self.parse_text_to_nodes("\n".join(lines))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the role and the directives."""
    app.add_role("source", Source())
    app.add_directive("layers", Layers)
    app.add_directive("close-codes", CloseCodes)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
