"""Options that other libraries' ``connect`` has and this one's has not, each with what serves for it here."""

from __future__ import annotations

__all__ = ["hint"]


_HEADERS = "basic_request.header(name, value).get(url)"


_SUBPROTOCOLS = "basic_request.subprotocol(name).get(url)"


_USER_AGENT = 'basic_request.header("User-Agent", …).get(url)'


_KEEPALIVE = "ping(timeout=…), which the program calls: nothing pings by itself"


_READING_AHEAD = "the buffer of a backend's WebSocketHandler"


_HINTS = {
    "additional_headers": _HEADERS,
    "extra_headers": _HEADERS,
    "header": _HEADERS,
    "headers": _HEADERS,
    "subprotocol": _SUBPROTOCOLS,
    "subprotocols": _SUBPROTOCOLS,
    "protocols": _SUBPROTOCOLS,
    "user_agent": _USER_AGENT,
    "user_agent_header": _USER_AGENT,
    "origin": "basic_request.origin(…).get(url)",
    "cookie": "basic_request.cookie(name, value).get(url)",
    "cookies": "basic_request.cookie(name, value).get(url)",
    "auth": "basic_request.basic_auth(user, password).get(url), or .bearer_auth(token)",
    "max_redirects": "basic_request.follow_redirects(limit).get(url)",
    "max_size": "max_message_size",
    "max_msg_size": "max_message_size",
    "compress": "compression",
    "timeout": "open_timeout, and timeout= of each receive",
    "ssl_context": "ssl",
    "sslopt": "ssl",
    "ping_interval": _KEEPALIVE,
    "ping_timeout": _KEEPALIVE,
    "heartbeat": _KEEPALIVE,
    "max_queue": _READING_AHEAD,
    "read_limit": _READING_AHEAD,
    "url": "the first argument, which has no name",
    "uri": "the first argument, which has no name",
}


def hint(option: str) -> str:
    """What serves for an option that is unknown, as the end of an error's text; empty where nothing is known."""
    return f"; for that there is {_HINTS[option]}" if option in _HINTS else ""
