"""The comparison says what the installed packages say, if they have the versions that it names."""

from __future__ import annotations

import inspect
import re
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from importlib.resources import files

from polysocket import basic_request
from tests.docs.pages import page

ROWS = [
    [cell.strip() for cell in re.split(r"^     -", row, flags=re.MULTILINE)]
    for row in re.split(r"^   \* -", page("comparison"), flags=re.MULTILINE)[1:]
]
LIBRARIES = [head.split() for head in ROWS[0][1:]]
ROWS[-1][-1] = ROWS[-1][-1].split()[0]  # without the rest of the page


def row(name: str) -> dict[str, str]:
    """Return a row, by the names of the libraries whose named version is installed."""
    (cells,) = [cells[1:] for cells in ROWS if cells[0] == name]
    return {
        library: cell for (library, named), cell in zip(LIBRARIES, cells, strict=True) if is_installed(library, named)
    }


def is_installed(library: str, named: str) -> bool:
    try:
        return version(library) == named
    except PackageNotFoundError:
        return False


def module_of(library: str) -> str:
    return {"websocket-client": "websocket"}.get(library, library.replace("-", "_"))


def test_the_classifiers_are_those_of_the_packages() -> None:
    for library, cell in row("Its own classifier").items():
        classifiers = metadata(library).get_all("Classifier") or []
        assert any(re.fullmatch(rf"Development Status :: \d - {cell}", each) for each in classifiers), library


def test_the_versions_of_python_are_those_of_the_packages() -> None:
    for library, cell in row("Python").items():
        assert metadata(library)["Requires-Python"] == cell


def test_the_numbers_of_required_packages_are_right() -> None:
    # Of those with a marker, only backports for Python before 3.13 are required.
    for library, cell in row("Required packages").items():
        required = [each for each in requires(library) or () if "extra ==" not in each and "python_version" not in each]
        assert str(len(required)) in cell.split(" or "), required


def test_the_flavours_are_modules() -> None:
    for flavour in ("Blocking", "asyncio", "trio"):
        assert row(flavour).get("websockets", "yes") == "yes"
    if "websockets" in row("trio"):
        folder = files("websockets")
        assert all(folder.joinpath(flavour, "client.py").is_file() for flavour in ("sync", "asyncio", "trio"))


def test_largest_messages_are_the_defaults() -> None:
    found = {"polysocket": basic_request.max_message_size}
    if "websockets" in row("Python"):
        from websockets.asyncio.client import connect

        found["websockets"] = inspect.signature(connect.__init__).parameters["max_size"].default
    if "aiohttp" in row("Python"):
        import aiohttp

        found["aiohttp"] = inspect.signature(aiohttp.ClientSession.ws_connect).parameters["max_msg_size"].default
    if "httpx-ws" in row("Python"):
        import httpx_ws

        found["httpx-ws"] = inspect.signature(httpx_ws.aconnect_ws).parameters["max_message_size_bytes"].default
    if "trio-websocket" in row("Python"):
        import trio_websocket

        found["trio-websocket"] = (
            inspect.signature(trio_websocket.open_websocket).parameters["max_message_size"].default
        )
    sizes = {"1 MiB": 1024**2, "4 MiB": 4 * 1024**2, "64 KiB": 64 * 1024}
    said = {library: sizes[cell] for library, cell in row("Largest message, by default").items() if cell in sizes}
    assert said == {library: size for library, size in found.items() if library in said}


def test_keepalive_is_on_or_off_as_the_defaults_say() -> None:
    options = {"websockets": "ping_interval", "aiohttp": "heartbeat", "httpx-ws": "keepalive_ping_interval_seconds"}
    for library, cell in row("Keepalive").items():
        if library == "websockets":
            from websockets.asyncio.client import connect

            default = inspect.signature(connect.__init__).parameters[options[library]].default
        elif library == "aiohttp":
            import aiohttp

            default = inspect.signature(aiohttp.ClientSession.ws_connect).parameters[options[library]].default
        elif library == "httpx-ws":
            import httpx_ws

            default = inspect.signature(httpx_ws.aconnect_ws).parameters[options[library]].default
        else:
            continue
        assert (default is not None) is (cell == "on"), library


def test_type_information_is_in_the_packages() -> None:
    for library, cell in row("Type information").items():
        assert files(module_of(library)).joinpath("py.typed").is_file() is (cell == "yes"), library


def test_each_row_has_a_cell_for_each_library() -> None:
    assert {len(cells) for cells in ROWS} == {1 + len(LIBRARIES)}
