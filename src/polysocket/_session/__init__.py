"""Programs on an open websocket."""
