"""``:source:`` and ``layers``: what the page for maintainers draws from the code.

A word in ``:source:`` is followed by the file of its definition. A word without a definition, or with two, is a
warning, which fails the build.
"""

from __future__ import annotations

import ast
import html
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from docutils import nodes  # type: ignore[import-untyped]
from source_index import PACKAGE, NotOneDefinition, definition
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective, SphinxRole

VALUES, FLAVOURS = "values", "flavours"


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


class Unit(NamedTuple):
    """A box of the picture: a folder or a module of the package, or a group of modules."""

    name: str
    modules: tuple[str, ...]
    imports: frozenset[str]


class Layers(SphinxDirective):
    """The directive: a picture of the units, each above all that it imports, and a table of what they hold."""

    def run(self) -> list[nodes.Node]:
        """Draw the picture, and write the table below it."""
        for path in PACKAGE.rglob("*.py"):
            self.env.note_dependency(str(path))
        rows = layers()
        picture = nodes.raw("", svg(rows), format="html")
        lines = [".. dropdown:: Modules and their purpose", "", "   .. list-table::", "      :header-rows: 1"]
        lines += ["      :widths: 25 75", "", "      * - Module", "        - Purpose"]
        for module in (module for row in rows for unit in row for module in unit.modules):
            lines += [f"      * - ``{module}``", f"        - {purpose(module)}"]
        return [picture, *self.parse_text_to_nodes("\n".join(lines))]


def layers() -> list[list[Unit]]:
    """Return the units from top to bottom. Raises RuntimeError if the imports of two units are a circle."""
    graph = {unit.name: unit for unit in units()}
    heights: dict[str, int] = {}

    def height(name: str, above: tuple[str, ...] = ()) -> int:
        if name in above:
            raise RuntimeError(f"a circle of imports: {' → '.join((*above, name))}")
        if name not in heights:
            heights[name] = 1 + max((height(each, (*above, name)) for each in graph[name].imports), default=-1)
        return heights[name]

    rows: list[list[Unit]] = [[] for _ in range(1 + max(map(height, graph)))]
    for name, unit in graph.items():
        rows[heights[name]].append(unit)
    return rows[::-1]


def units() -> list[Unit]:
    """Group the modules: a folder is a unit, so are all values, so are all flavours, and each other module."""
    imports = {module_of(path): set(imported(path)) for path in sorted(PACKAGE.rglob("*.py"))}
    folders = {module.partition("/")[0] for module in imports if "/" in module}
    private = {folder for folder in folders if folder.startswith("_")} | {"effects"}

    def unit_of(module: str) -> str:
        folder = module.partition("/")[0]
        if folder in folders:
            return folder if reaches(folder) else VALUES
        if (PACKAGE / f"{module}.py").exists() and "\ndef connect(" in (PACKAGE / f"{module}.py").read_text("utf-8"):
            return FLAVOURS
        return module if reaches(module) else VALUES

    def reaches(name: str) -> bool:
        """Return whether a module imports a layer above the values, directly or not."""
        seen, todo = set(), [each for each in imports if each == name or each.startswith(f"{name}/")]
        while todo:
            module = todo.pop()
            if module.partition("/")[0] in private:
                return True
            if module not in seen:
                seen.add(module)
                todo += imports[module]
        return False

    members: dict[str, list[str]] = {}
    for module in imports:
        if module not in ("__init__", "__main__"):
            members.setdefault(unit_of(module), []).append(module)
    return [
        Unit(
            name,
            tuple(
                dict.fromkeys(
                    shown(module) for module in modules if module not in {f"{each}/__init__" for each in folders}
                )
            ),
            frozenset(unit_of(each) for module in modules for each in imports[module] if each != "__init__") - {name},
        )
        for name, modules in members.items()
    ]


def shown(module: str) -> str:
    """Return what stands for a module: itself, or its folder if that is inside another folder."""
    folder = module.rpartition("/")[0]
    return folder if "/" in folder or module.endswith("/__init__") else module


def module_of(path: Path) -> str:
    """Return a module's name as its path in the package, without the suffix."""
    return path.relative_to(PACKAGE).with_suffix("").as_posix()


def imported(path: Path) -> Iterator[str]:
    """Find the package's modules that a module imports while it is loaded; those for type checkers only don't count."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "polysocket":
            base = node.module.replace(".", "/").removeprefix("polysocket").removeprefix("/")
            for alias in node.names:
                candidates = [f"{base}/{alias.name}".strip("/"), base, f"{base}/__init__".strip("/")]
                yield next(each for each in candidates if (PACKAGE / f"{each}.py").exists())


def purpose(module: str) -> str:
    """Return the first paragraph of a module's docstring, or of a folder's."""
    path = PACKAGE / module
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    doc = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return doc.partition("\n\n")[0].replace("\n", " ").rstrip(".")


WIDTH, GAP, LINE, PADDING = 860, 26, 16, 10
CHARACTER = 6.7  # of the modules' names, in pixels at 11 px


def svg(rows: list[list[Unit]]) -> str:
    """Draw the rows of boxes, with a line from each box to those that it imports and no other box leads to."""
    boxes: dict[str, tuple[float, float, float, float]] = {}
    shapes: list[str] = []
    top = 2.0
    for row in rows:
        width = (WIDTH - GAP * (len(row) - 1)) / len(row) - 2
        names = {unit.name: wrapped(unit, width) for unit in row}
        height = 2 * PADDING + LINE * (1 + max(len(lines) for lines in names.values()))
        for number, unit in enumerate(row):
            left = 1 + number * (width + GAP)
            boxes[unit.name] = (left, top, width, height)
            shapes.append(f'<rect x="{left:.0f}" y="{top:.0f}" width="{width:.0f}" height="{height:.0f}" rx="6"/>')
            shapes.append(
                f'<text class="unit" x="{left + PADDING:.0f}" y="{top + 20:.0f}">{html.escape(unit.name)}</text>'
            )
            shapes += [
                f'<text x="{left + PADDING:.0f}" y="{top + 20 + LINE * (line + 1):.0f}">{html.escape(text)}</text>'
                for line, text in enumerate(names[unit.name])
            ]
        top += height + GAP * 1.5
    lines = []
    for above, below in arrows(rows):
        left, y, width, height = boxes[above]
        left_below, y_below, width_below, _ = boxes[below]
        lines.append(
            f'<line x1="{left + width / 2:.0f}" y1="{y + height:.0f}" '
            f'x2="{middle(left_below, width_below, left + width / 2):.0f}" y2="{y_below:.0f}"/>'
        )
    return (
        f'<svg class="layers" role="img" aria-label="Modules, each above all that it imports" '
        f'viewBox="0 0 {WIDTH} {top:.0f}">{"".join(lines)}{"".join(shapes)}</svg>'
    )


def middle(left: float, width: float, wanted: float) -> float:
    """Return the point of a box's upper edge that is nearest to the middle of the box above, off the corners."""
    return min(max(wanted, left + 20), left + width - 20)


def wrapped(unit: Unit, width: float) -> list[str]:
    """Return the names of a unit's modules in lines that fit the box; none for a unit that is one module."""
    names = [module.removeprefix(f"{unit.name}/") for module in unit.modules]
    if names == [unit.name]:
        return []
    lines = [""]
    for name in names:
        if lines[-1] and len(f"{lines[-1]}  {name}") * CHARACTER > width - 2 * PADDING:
            lines.append("")
        lines[-1] = f"{lines[-1]}  {name}".strip()
    return lines


def arrows(rows: list[list[Unit]]) -> Iterator[tuple[str, str]]:
    """Yield the imports between units that do not follow from others."""
    graph = {unit.name: unit.imports for row in rows for unit in row}

    def below(name: str) -> set[str]:
        return set(graph[name]).union(*(below(each) for each in graph[name]))

    for name, imports in graph.items():
        implied = set().union(*(below(each) for each in imports))
        yield from ((name, each) for each in sorted(imports - implied))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the role and the directive."""
    app.add_role("source", Source())
    app.add_directive("layers", Layers)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
