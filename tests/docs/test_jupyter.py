"""The cells of the documentation run in a notebook, in a real kernel."""

from __future__ import annotations

import os
import re
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import polysocket
from polysocket.testing import EchoServer
from tests.docs.pages import EXAMPLES, shown_in

pytestmark = pytest.mark.skipif(
    any(find_spec(name) is None for name in ("ipykernel", "nbclient", "nbformat")), reason="Jupyter is not installed"
)

NOTEBOOKS = EXAMPLES / "jupyter"


def cells_of(name: str, url: str) -> list[str]:
    """Return the cells of a program, which ``# %%`` begins, with the server's URL."""
    source = (NOTEBOOKS / f"{name}.ipy").read_text(encoding="utf-8").replace("wss://echo.example.com/", url)
    return [cell.strip() for cell in re.split(r"^# %%\n", source, flags=re.MULTILINE)[1:]]


def outputs_of(cells: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Run the cells in a kernel of their own, and return what each shows."""
    import nbformat
    from nbclient import NotebookClient
    from traitlets.config import Config

    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(folder / name))
    monkeypatch.setenv("PYTHONPATH", str(Path(polysocket.__file__).parents[1]))
    monkeypatch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    v4: Any = nbformat.v4
    notebook = v4.new_notebook(cells=[v4.new_code_cell(cell) for cell in cells])
    with tempfile.TemporaryDirectory() as short_path:  # A Unix socket's path has at most 107 bytes.
        # Jupyter chooses ports before it binds them, so that another test could take one.
        over_unix_sockets = Config(KernelManager={"transport": "ipc", "ip": f"{short_path}/kernel"})
        client = NotebookClient(notebook, timeout=30, kernel_name="python3", config=over_unix_sockets)
        client.execute(cwd=os.fspath(folder))
    return ["".join(map(shown, cell.outputs)) for cell in notebook.cells]


def shown(output: Any) -> str:
    return str(output.get("text") or output["data"]["text/plain"])


@pytest.mark.filterwarnings("default")
def test_a_websocket_lives_from_cell_to_cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with EchoServer() as server:
        outputs = outputs_of(cells_of("cells", server.url), tmp_path, monkeypatch)
    assert re.fullmatch(r"<polysocket\.asyncio\.WebSocket ws://localhost:\d+/ open>", outputs[0])
    assert outputs[1:] == [
        "'Hello!'",
        "",
        "['message 0', 'message 1', 'message 2']",
        "closed by this side; received 1000 (normal closure), sent 1000 (normal closure)\n",
    ]


@pytest.mark.filterwarnings("default")
def test_the_blocking_flavour_works_in_cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with EchoServer() as server:
        outputs = outputs_of(cells_of("blocking_cells", server.url), tmp_path, monkeypatch)
    assert outputs == ["", "'Hello!'", ""]


def test_every_notebook_is_shown() -> None:
    assert {path.name for path in NOTEBOOKS.glob("*.ipy")} == shown_in("jupyter")
