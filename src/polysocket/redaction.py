"""Redact credentials, cookies and query strings in everything that is logged or shown; escape control characters."""

from __future__ import annotations

import re

__all__ = ["escaped", "holds_url", "is_secret", "redact_field", "redact_query", "redact_url"]

_SECRET = re.compile(
    "auth(?!enticate$)|cookie|token|secret|passw|session|credential|signature|csrf|xsrf|api-?key", re.IGNORECASE
)
_USERINFO = re.compile(r"^((?:wss?|https?|socks5h?):)?/{0,2}.*@", re.DOTALL)
_WITHOUT_USER = re.compile(r"(?:\w+:)?//(?:\[[^]/?#@]*\]|[^]/?#@:[]*)(?::[0-9]*)?(?=[/?#])|[/?#](?!/)")
_QUERY = re.compile(r"([?#]).*", re.DOTALL)  # or the fragment, which may hold a token (RFC 6749 §4.2.2)
_URL_FIELDS = frozenset({"location", "content-location", "link", "referer", "refresh"})


def redact_url(url: str) -> str:
    """Return a URL, which may be malformed, without its credentials, its query and its fragment."""
    user = _USERINFO.match(url)
    if user is not None and _QUERY.search(user[0]):  # The "@" is the query's, or the "?" may be a password's.
        return redact_query(url) if _WITHOUT_USER.match(url) else f"{user[1] or ''}//…"
    return redact_query(_USERINFO.sub(r"\1//…@", url))


def redact_query(url: str) -> str:
    """Return a URL that has no credentials, or the target of one, without its query and its fragment."""
    return _QUERY.sub(r"\1…", url)


def is_secret(name: str) -> bool:
    """Return whether a header field of this name may hold a secret, such as credentials or a cookie."""
    return _SECRET.search(name) is not None


def holds_url(name: str) -> bool:
    """Return whether a header field of this name holds a URL."""
    return name.lower() in _URL_FIELDS


def redact_field(name: str, value: str) -> str:
    """Return the value of a header field without its secrets."""
    if is_secret(name):
        return "…"
    return redact_url(value) if holds_url(name) else value


def escaped(text: str) -> str:
    """Return a text with its control characters escaped, which a terminal or a log's reader would obey."""
    return text if text.isprintable() else "".join([c if c.isprintable() else repr(c)[1:-1] for c in text])
