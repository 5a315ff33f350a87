"""The methods of a websocket by what they do; :class:`polysocket.WebSocket` joins them."""
