"""Run the documentation's applications under real servers: uvicorn in a thread, daphne in a process."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from tests.docs.pages import EXAMPLES

PATIENCE = 20  # seconds


def loaded(path: str, url: str) -> ModuleType:
    """Execute a program of ``docs/examples`` as a module, with the server's URL instead of the documented one."""
    file = EXAMPLES / path
    source = re.sub(r"wss://\w+\.example\.com/", url, file.read_text(encoding="utf-8"))
    module = ModuleType(file.stem)
    exec(compile(source, str(file), "exec"), module.__dict__)
    return module


@contextmanager
def under_uvicorn(app: Any) -> Iterator[int]:
    """Serve an ASGI application, and yield the port."""
    import uvicorn  # It may not be installed.

    server = uvicorn.Server(uvicorn.Config(app, ws="wsproto", log_config=None, timeout_graceful_shutdown=1))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],), name="uvicorn")
        thread.start()
        try:
            wait_until(lambda: server.started)
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(PATIENCE)
    assert not thread.is_alive(), "uvicorn has not ended"


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds, and fail after 20 seconds."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def get(port: int, path: str) -> tuple[int, Any]:
    """Return the status and the JSON of a response."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)
