"""Which files of the core are in use: the compiled ones, or the plain ones beside them.

The package imports this module before any other, since POLYSOCKET_PURE=1 has the plain files imported.
"""

from __future__ import annotations

import os
import sys
from importlib.machinery import SOURCE_SUFFIXES, FileFinder, SourceFileLoader

__all__ = ["is_compiled"]

if os.environ.get("POLYSOCKET_PURE") == "1":
    package = os.path.dirname(__file__)  # noqa: PTH120 - pathlib would be imported for this alone
    for folder in (package, *(entry.path for entry in os.scandir(package) if entry.is_dir())):
        sys.path_importer_cache[folder] = FileFinder(folder, (SourceFileLoader, SOURCE_SUFFIXES))

from polysocket import frames

is_compiled: bool = not frames.__file__.endswith(".py")
"""Whether the compiled files are in use: they are where a wheel was built with a C compiler.

The environment variable ``POLYSOCKET_PURE=1``, set before polysocket is imported, forces the plain ones.
"""
