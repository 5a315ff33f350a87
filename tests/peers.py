"""Servers of the websockets library, which run in a thread."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

from websockets.sync.server import ServerConnection, serve

__all__ = ["websockets_server"]


@contextlib.contextmanager
def websockets_server(handle: Callable[[ServerConnection], None], **options: Any) -> Iterator[str]:
    """Run a server that calls ``handle`` with each connection; return its URL. The options are those of ``serve``."""
    with serve(handle, "127.0.0.1", 0, **options) as server:
        thread = threading.Thread(target=server.serve_forever, name="a server of websockets")
        thread.start()
        try:
            yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
        finally:
            server.shutdown()
            thread.join()
