"""Examples in the folders of the documentation are plain English, like the rest of the repository."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.pages import EXAMPLES
from tests.project.test_english import faults_of

IN_FOLDERS = sorted(EXAMPLES.glob("*/**/*.py"))


@pytest.mark.parametrize("path", IN_FOLDERS, ids=lambda path: path.relative_to(EXAMPLES).as_posix())
def test_an_example_is_written_in_plain_english(path: Path) -> None:
    faults = [f"{path.name}:{fault}" for fault in faults_of(path)]
    assert not faults, "\n".join(["see the style guide's table:", *faults])
