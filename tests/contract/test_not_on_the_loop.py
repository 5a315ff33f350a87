"""Loading certificate authorities and reading the proxies of a system block for long: not on an event loop."""

from __future__ import annotations

import importlib.util
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest

from polysocket import ConnectFailed, OpenTimeout, system_proxy
from polysocket._opening import tls
from polysocket.testing import EchoServer
from polysocket.testing.contract.flavour import Flavour, promise
from polysocket.testing.contract.places import Echo, Listener, Place

Threads = list[threading.Thread]

RUNS = {
    "asyncio": ("asyncio", ["asyncio"], "asyncio.run(main())"),
    "uvloop": ("asyncio", ["uvloop"], "uvloop.run(main())"),
    "trio": ("trio", ["trio"], "trio.run(main)"),
    "anyio and asyncio": ("anyio", ["anyio"], "anyio.run(main)"),
    "anyio and trio": ("anyio", ["anyio", "trio"], "anyio.run(main, backend='trio')"),
}
"""For each library, the flavour's module, what a program imports, and how it runs."""

FIRST_USE = """
import sys
import {libraries}
from polysocket.{module} import connect, reconnect

imported = []

def note(event, arguments):
    if event == "import" and is_running and arguments[0] not in sys.modules:
        imported.append(arguments[0])

async def fail(url, **options):
    try:
        await connect(url, **options)
    except OSError as error:
        return str(error)

async def main():
    global is_running
    is_running = True
    async with connect(sys.argv[1]) as ws:
        await ws.send_json([1])
        await ws.receive_json()
        await ws.ping()
    async for ws in reconnect(sys.argv[1]):
        break
    await fail("ws://faß.invalid/")
    await fail("wss://localhost:1/")
    await fail("ws://localhost/", proxy="http://localhost:1")
    await fail("ws://localhost/", proxy="socks5://localhost:1")
    is_running = False

is_running = False
sys.addaudithook(note)
{run}
print(imported)
"""


@pytest.mark.parametrize("library", RUNS)
def test_nothing_is_imported_while_an_event_loop_runs(library: str) -> None:
    module, libraries, run = RUNS[library]
    for name in libraries:
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed")
    program = FIRST_USE.format(libraries=", ".join(libraries), module=module, run=run)
    with EchoServer() as server:
        done = subprocess.run(
            [sys.executable, "-c", program, server.url], capture_output=True, text=True, check=False, timeout=30
        )
    assert done.stdout.strip() == "[]", done.stderr


def noting(threads: Threads, function: Callable[[], object]) -> Callable[[], object]:
    """Return the function; each call adds its thread to a list."""

    def call() -> object:
        threads.append(threading.current_thread())
        return function()

    return call


@promise
async def test_concurrent_first_websockets_share_one_default_context_loaded_off_the_event_loop(
    flavour: Flavour, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    loading: Threads = []

    async def fail() -> None:
        with pytest.raises(ConnectFailed, match="certificate is not valid"):
            await flavour.open(echo.url)

    with Echo(Place("tls", place.folder)) as echo:
        monkeypatch.setattr(tls, "_default_context", None)
        monkeypatch.setattr(ssl, "create_default_context", noting(loading, ssl.create_default_context))
        for task in [flavour.spawn(fail) for _ in range(5)]:
            await task.result()
        await fail()
    [thread] = loading
    assert not flavour.effect().is_async or thread is not threading.current_thread()


@promise
async def test_the_proxies_of_macos_and_windows_are_read_off_the_event_loop(
    flavour: Flavour, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    reading: Threads = []
    monkeypatch.setattr("polysocket.proxy.HAS_PROXY_SETTINGS", True)
    listener = Listener(place)
    proxy = listener.url.replace("ws", "http", 1)
    listener.hang_up()
    monkeypatch.setattr("polysocket.proxy._in_settings", lambda *_: noting(reading, lambda: proxy)())
    with pytest.raises(ConnectFailed, match="could not connect to the proxy localhost port"):
        await flavour.open("ws://server.invalid/", proxy=system_proxy)
    [thread] = reading
    assert not flavour.effect().is_async or thread is not threading.current_thread()


@promise
async def test_loading_the_default_context_may_be_cancelled(
    flavour: Flavour, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not flavour.effect().is_async:
        return
    go_on = threading.Event()
    listener = Listener(Place("tls", place.folder))
    url = listener.url
    monkeypatch.setattr(tls, "_default_context", None)
    create = ssl.create_default_context
    monkeypatch.setattr(ssl, "create_default_context", lambda: (go_on.wait(), create())[1])
    try:
        with pytest.raises(OpenTimeout, match="still in the TLS handshake"):
            await flavour.open(url, open_timeout=0.1)
    finally:
        go_on.set()
        listener.hang_up()
