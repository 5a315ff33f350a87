"""The pages of the guide: the examples that a page shows, and the output that it promises for each."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
EXAMPLES = DOCS / "examples"
GUIDE = DOCS / "guide"


def page(name: str) -> str:
    """Return the text of a page of the guide."""
    return (GUIDE / f"{name}.rst").read_text(encoding="utf-8")


def shown_in(folder: str) -> set[str]:
    """Return the examples of a folder that some page shows, by their file names."""
    text = "".join(path.read_text(encoding="utf-8") for path in GUIDE.glob("*.rst"))
    return set(re.findall(rf"literalinclude:: \.\./examples/{folder}/(\S+)", text))


def output_in(name: str, example: str) -> str:
    """Return the output that a page shows after an example, as a pattern. A port may be any number."""
    _, _, rest = page(name).partition(f"literalinclude:: ../examples/{example}\n")
    block = re.match(r"(?: +:.*\n)*\n(?:[^.\n].*\n+)*?\.\. code-block:: text\n\n((?:   .*\n|\n)+)", rest)
    assert block is not None, f"{name}.rst shows no output after {example}"
    shown = textwrap.dedent(block[1]).strip() + "\n"
    return re.sub(r"(?<=port\\ )\d+", r"\\d+", re.escape(shown)).replace("…", r".*")
