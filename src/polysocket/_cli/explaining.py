"""Errors in the words of the command: its options instead of Python's."""

from __future__ import annotations

__all__ = ["explained"]

_IN_COMMAND = {
    "; Proxy(…, ssl=…) takes a context that trusts it": "; the variable SSL_CERT_FILE names a PEM file to trust",
    "; ssl= takes a context that trusts it": "; --ca FILE trusts the authorities in a PEM file, --insecure any server",
    "name subprotocols with subprotocols=… or .subprotocol()": "name subprotocols with --subprotocol",
    "choose compression with compression=… or .compress()": "choose compression with --compression or --no-compression",
    "max_redirects=10 allows no more": "the command follows no more",
    "max_message_size=… raises the limit of": "the command has a limit of",
    ", with a body (.response.body)": "",  # The command writes the body itself.
}
"""Phrases of the library's errors that name options of Python, each with its counterpart here."""


def explained(error: object) -> str:
    """Return the text of an error, or of a normal end, for users of the command."""
    text = str(error)
    for in_python, in_command in _IN_COMMAND.items():
        text = text.replace(in_python, in_command)
    return text
