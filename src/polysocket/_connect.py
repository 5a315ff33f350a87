"""The program of every flavour's ``connect``: a session is opened, and becomes a :class:`~polysocket.WebSocket`."""

from __future__ import annotations

from typing import Any

from polysocket._opening.opening_handshake import open_session
from polysocket._opening.options import ConnectOptions, _prepare
from polysocket.effects import Effect
from polysocket.request import Request
from polysocket.websocket import WebSocket

__all__ = ["open_websocket"]


async def open_websocket(effect: Effect, target: str | Request, options: ConnectOptions) -> WebSocket[Any]:
    """Open a websocket for a flavour's ``connect``; raises as :func:`connect` does."""
    request, transport = _prepare(target, options)
    return WebSocket(await open_session(effect, request, transport), effect)
