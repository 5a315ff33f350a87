"""Handlers: what a backend does with a websocket that it has opened, as values for ``open_websocket``.

The ``check`` of a handler refuses what can't work before anything is opened. Its ``start`` is the program that makes
the result from an open session.
"""

from polysocket.handlers.handler import Handler, WebSocketHandler
from polysocket.handlers.listener import Listener
from polysocket.handlers.pipe import PipeHandler, from_message_pipe, from_text_pipe

__all__ = ["Handler", "Listener", "PipeHandler", "WebSocketHandler", "from_message_pipe", "from_text_pipe"]
