"""A read-only view of the state inside a websocket, for tests that check its bounds."""

from __future__ import annotations

from typing import Any

from polysocket._session.view import SessionView
from polysocket.websocket import WebSocket

__all__ = ["SessionView", "inside"]


def inside(ws: WebSocket[Any]) -> SessionView:
    """Return the state inside a websocket at this moment: queued frames, waiting callers, pending bytes."""
    if not isinstance(ws, WebSocket):
        raise TypeError(f"inside() takes a WebSocket, not {type(ws).__name__}")
    return ws._session.view
