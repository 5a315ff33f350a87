"""``python -m polysocket``: the command ``polysocket``."""

from __future__ import annotations

import sys

from polysocket._cli.command import main

if __name__ == "__main__":
    sys.exit(main())
