"""Programs that open a websocket."""
