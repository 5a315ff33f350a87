"""The words of a conversation: known to the client, the server and the judge."""

from __future__ import annotations

GREETING = "Hello, hello, hello!"
PLEASE_CLOSE = "please close"
FAREWELL = "farewell"
CLOSE_CODE, CLOSE_REASON = 4000, "as you wish"
FRAGMENTS = ["a message ", "in frag", "ments"]  # of the client
DATA = bytes(range(150))  # its length takes two more bytes (RFC 6455 §5.2)


def burst() -> tuple[str, list[str], bytes]:
    """Return the messages with which the server answers the greeting at once, after its echo."""
    return "¡Hola! 👋", ["one ", "two ", "three"], bytes(200)


def expected(*, server_closes: bool) -> list[str | bytes]:
    """Return the messages that a client receives in an undisturbed conversation."""
    text, fragments, data = burst()
    messages: list[str | bytes] = [GREETING, text, "".join(fragments), data, DATA, "".join(FRAGMENTS)]
    return [*messages, FAREWELL] if server_closes else messages
