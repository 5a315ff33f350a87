"""Sphinx's configuration. The pages are built from the docstrings and constants of the polysocket that is installed."""

import sys
from pathlib import Path

from polysocket import __version__, basic_request

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_extensions"))

from source_index import constant  # noqa: E402 - found in _extensions

project = "polysocket"
author = "the polysocket authors"
copyright = "2026, the polysocket authors"  # noqa: A001 - Sphinx reads this name
release = version = __version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx_copybutton",
    "sphinx_design",
    "closing_states",
    "connect_options",
    "internals",
    "limits",
    "public_names",
    "sttp_names",
]
exclude_patterns = ["_build", "guide/ratios.rst"]  # the page about performance includes the ratios
default_role = "literal"

# Every name in every docstring has an entry, or is listed here: names of other libraries, and type variables.
nitpicky = True
nitpick_ignore_regex = [
    (r"py:.*", r"(asyncio|collections|concurrent|contextlib|contextvars|enum|logging|os|socket|ssl|types|typing)\..*"),
    (r"py:.*", r"(anyio|opentelemetry|prometheus_client|trio)\..*"),
    (r"py:.*", r"SearchStrategy|SSLContext|TracerProvider"),
    (r"py:.*", r"(~?\w+\.)*[A-Z](_co)?"),
]

autodoc_default_options = {"members": True}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
# Building the pages does not need these packages.
autodoc_mock_imports = ["hypothesis", "opentelemetry", "prometheus_client", "pytest", "trustme"]
python_maximum_signature_line_length = 90
python_use_unqualified_type_names = True

html_theme = "furo"
html_title = f"polysocket {release}"
html_show_sphinx = False
html_static_path = ["_static"]
html_css_files = ["pages.css"]


def in_bytes(number: int) -> str:
    """Write a number of bytes in the largest unit that divides it."""
    for unit, size in (("MiB", 1024 * 1024), ("KiB", 1024)):
        if number >= size and number % size == 0:
            return f"{number // size} {unit}"
    return f"{number} bytes"


# Figures for the pages, written there as |name|: each is read from the constant that sets it.
assert basic_request.max_message_size is not None
FIGURES = {
    "max_message_size": in_bytes(basic_request.max_message_size),
    "open_timeout": f"{basic_request.open_timeout} seconds",
    "close_timeout": f"{basic_request.close_timeout} seconds",
    "max_redirects": str(basic_request.max_redirects),
    "max_header": in_bytes(constant("MAX_HEADER")),
    "max_header_lines": f"{constant('MAX_HEADER_LINES')} lines",
    "max_lines": f"{constant('MAX_LINES')} lines",
    "max_body": in_bytes(constant("MAX_BODY")),
    "max_body_lines": f"{constant('MAX_BODY_LINES'):,} lines",
    "body_timeout": f"{constant('BODY_TIMEOUT'):g} second",
    "max_control_payload": in_bytes(constant("MAX_CONTROL_PAYLOAD")),
    "max_reason": in_bytes(constant("MAX_CONTROL_PAYLOAD") - 2),
    "max_fragments": f"1 for each {in_bytes(constant('BYTES_A_FRAGMENT'))}, and at least "
    f"{constant('FEWEST_FRAGMENTS'):,}",
    "max_overhead": in_bytes(constant("MAX_OVERHEAD")),
    "frame_cost": in_bytes(constant("FRAME_COST")),
    "queue_capacity": in_bytes(constant("QUEUE_CAPACITY")),
    "buffer_max_bytes": in_bytes(constant("DEFAULT_MAX_BYTES")),
    "read_ahead": in_bytes(constant("push_stream.READ_AHEAD")),
    "max_steps": str(constant("MAX_STEPS")),
    "max_bytes": in_bytes(constant("decoder.MAX_BYTES")),
    "most_final_blocks": f"{constant('MOST_FINAL_BLOCKS'):,}",
    "max_batch": in_bytes(constant("MAX_BATCH")),
    "send_capacity": in_bytes(constant("SEND_CAPACITY")),
}
rst_prolog = "\n".join(f".. |{name}| replace:: {figure}" for name, figure in FIGURES.items())
