"""How Sphinx builds these pages: from the docstrings and the constants of the polysocket that it can import."""

import sys
from pathlib import Path

from polysocket import __version__, basic_request
from polysocket._core.client_handshake import MAX_BODY, MAX_HEADER
from polysocket._core.connection import MAX_CONTROL_PAYLOAD, MAX_FRAGMENTS, QUEUE_CAPACITY
from polysocket._session.sending import SEND_CAPACITY
from polysocket.buffer import DEFAULT_MAX_BYTES

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_extensions"))

project = "polysocket"
author = "the polysocket authors"
copyright = "2026, the polysocket authors"  # noqa: A001 - Sphinx reads this name
release = version = __version__

extensions = ["sphinx.ext.autodoc", "closing_states", "public_names", "sttp_names"]
exclude_patterns = ["_build"]
default_role = "literal"

# Every name in every docstring leads somewhere, or is named here: those of other libraries and type variables.
nitpicky = True
nitpick_ignore_regex = [
    (r"py:.*", r"(asyncio|collections|concurrent|contextlib|enum|logging|os|socket|ssl|types|typing)\..*"),
    (r"py:.*", r"(anyio|hypothesis|opentelemetry|prometheus_client|trio)\..*"),
    (r"py:.*", r"TracerProvider"),
    (r"py:.*", r"(~?\w+\.)*(P|T|A|E|E_co|F|F_co|G|R|R_co|S|T_co)"),
]

autodoc_default_options = {"members": True}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
# Those who build the pages need not have these.
autodoc_mock_imports = ["hypothesis", "opentelemetry", "prometheus_client", "pytest", "trustme"]
python_maximum_signature_line_length = 90
python_use_unqualified_type_names = True

html_theme = "furo"
html_title = f"polysocket {release}"
html_show_sphinx = False
html_static_path = ["_static"]
html_css_files = ["pages.css"]


def in_bytes(number: int) -> str:
    """A number of bytes as one says it."""
    for unit, size in (("MiB", 1024 * 1024), ("KiB", 1024)):
        if number >= size and number % size == 0:
            return f"{number // size} {unit}"
    return f"{number} bytes"


# The figures of the pages, as |name|, from where they are set.
assert basic_request.max_message_size is not None
FIGURES = {
    "max_message_size": in_bytes(basic_request.max_message_size),
    "open_timeout": f"{basic_request.open_timeout} seconds",
    "close_timeout": f"{basic_request.close_timeout} seconds",
    "max_redirects": str(basic_request.max_redirects),
    "max_header": in_bytes(MAX_HEADER),
    "max_body": in_bytes(MAX_BODY),
    "max_control_payload": in_bytes(MAX_CONTROL_PAYLOAD),
    "max_reason": in_bytes(MAX_CONTROL_PAYLOAD - 2),
    "max_fragments": f"{MAX_FRAGMENTS:,}",
    "queue_capacity": in_bytes(QUEUE_CAPACITY),
    "buffer_max_bytes": in_bytes(DEFAULT_MAX_BYTES),
    "send_capacity": in_bytes(SEND_CAPACITY),
}
rst_prolog = "\n".join(f".. |{name}| replace:: {figure}" for name, figure in FIGURES.items())
