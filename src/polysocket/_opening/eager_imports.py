"""Modules that the flavours of event loops import at once: a later import would block the loop for milliseconds.

These modules are needed to open a websocket, to reconnect, or for JSON. The flavours of threads import each when it is
needed.
"""

import importlib

MODULES = (
    "concurrent.futures.thread",  # for the executor of asyncio, which resolves names
    "email.utils",  # for the date of a Retry-After header
    "encodings.idna",  # for getaddrinfo()
    "encodings.punycode",  # for a host that is not in ASCII
    "idna.uts46data",
    "json",  # for send_json() and receive_json()
    "polysocket._opening.opening_handshake",
)

for _module in MODULES:
    importlib.import_module(_module)
