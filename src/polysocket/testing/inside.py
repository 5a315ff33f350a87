"""A look inside a websocket, read-only: for tests that check what it holds."""

from __future__ import annotations

from typing import Any

from polysocket._session.view import SessionView
from polysocket.websocket import WebSocket

__all__ = ["SessionView", "inside"]


def inside(ws: WebSocket[Any]) -> SessionView:
    """Return the state inside a websocket at this moment: queued frames, callers that wait, pending bytes."""
    return ws._session.view
