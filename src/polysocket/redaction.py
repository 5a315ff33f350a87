"""Redact credentials, cookies and query strings from what is logged or shown."""

from __future__ import annotations

import re
from typing import TypeVar

R_co = TypeVar("R_co", covariant=True)


_SECRET = re.compile(
    "auth(?!enticate$)|cookie|token|secret|passw|session|credential|signature|csrf|xsrf|api-?key", re.IGNORECASE
)


def _without_secrets(url: str) -> str:
    """The URL, whole or broken, without what may be credentials or a query."""
    url = re.sub(r"^((?:wss?|https?|socks5h?):)?/{0,2}.*@", r"\1//…@", url, flags=re.DOTALL)
    return re.sub(r"\?.*", "?…", url, flags=re.DOTALL)


def is_secret(name: str) -> bool:
    """Whether a header of this name may hold a secret: credentials and cookies, and what is named after such."""
    return _SECRET.search(name) is not None
