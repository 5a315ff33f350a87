"""Handlers: values for ``open_websocket`` that say what to do with the open websocket.

``check`` refuses a handler that can't work in the flavour, before anything is opened. ``start`` is the program that
makes the result of ``open_websocket`` from an open session.
"""

from polysocket.handlers.handler import Handler, WebSocketHandler
from polysocket.handlers.listener import Listener
from polysocket.handlers.pipe import PipeHandler, from_message_pipe, from_text_pipe

__all__ = ["Handler", "Listener", "PipeHandler", "WebSocketHandler", "from_message_pipe", "from_text_pipe"]
