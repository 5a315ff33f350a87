"""Check an installation without pytest: ``python tests/installed.py compiled``, or ``plain``.

cibuildwheel runs this program on each wheel, and so does ``nox -s lint`` on the builds with and without a C compiler.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import polysocket
from polysocket import Binary, Ping, Pong, Text, blocking
from polysocket.testing import EchoServer

SETUP = Path(__file__).parents[1] / "setup.py"
MESSAGES: list[str | bytes] = ["", "Hello! ¡Hola! 你好!", b"", bytes(range(256)), "a" * 70_000, bytes(70_000)]


def to_compile() -> set[str]:
    """Return the names of the modules that setup.py compiles, as it lists them."""
    paths: list[str] = []
    for node in ast.parse(SETUP.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in {"CORE", "MASKING"}:
            paths += ast.literal_eval(node.value)
    return {f"polysocket.{path.removesuffix('.py').replace('/', '.')}" for path in paths}


def compiled() -> set[str]:
    """Return the names of the package's modules that have been imported compiled."""
    package = Path(polysocket.__file__).parent
    files = {name: Path(getattr(module, "__file__", None) or ".py") for name, module in sys.modules.items()}
    return {name for name, file in files.items() if file.is_relative_to(package) and file.suffix != ".py"}


def converse() -> None:
    """Exchange messages and frames with an echo server, with compression and without."""
    for compression in (polysocket.Deflate(), None):
        with EchoServer() as server, blocking.connect(server.url, compression=compression) as ws:
            for message in MESSAGES:
                ws.send_many([message])
                assert ws.receive_message() == message
            for frame, is_continuation in ((Text("a", final=False), False), (Ping(b"?"), False), (Text("b"), True)):
                ws.send(frame, is_continuation)
            assert {ws.receive(), ws.receive()} == {Pong(b"?"), Text("ab")}
            ws.send(Binary(b"last"))
            assert ws.receive() == Binary(b"last")


def main(build: str) -> None:
    """Check that this build is in use, and that it works."""
    converse()
    expected = to_compile() if build == "compiled" else set()
    assert polysocket.is_compiled == (build == "compiled"), f"polysocket.is_compiled is {polysocket.is_compiled}"
    assert compiled() == expected, f"compiled: {', '.join(sorted(compiled())) or 'no module'}"
    print(f"polysocket {polysocket.__version__} works: {build}, in {Path(polysocket.__file__).parent}")


if __name__ == "__main__":
    main(*sys.argv[1:])
