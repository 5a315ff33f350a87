"""Redirects (RFC 9110 §15.4): the request that follows from a request and its answer, as values."""

from __future__ import annotations

import re
from dataclasses import replace
from urllib.parse import urldefrag, urljoin

from polysocket.errors import InvalidURL, RedirectRefused
from polysocket.request import Request
from polysocket.response import Response
from polysocket.url import WebSocketURL, without_zone

__all__ = ["is_redirect", "redirected"]

_REDIRECTS = frozenset({301, 302, 303, 307, 308})

_FOR_ONE_ORIGIN = ("Authorization", "Proxy-Authorization", "Cookie", "Host")


def is_redirect(response: Response) -> bool:
    """Return whether an answer is a redirect that :func:`redirected` follows."""
    return response.status in _REDIRECTS


def redirected(request: Request, response: Response) -> Request:
    """Return the request that a redirect asks for, with one redirect less to follow; raises :class:`RedirectRefused`.

    Credentials, cookies and a Host set by hand go to their own origin only (RFC 9110 §15.4).
    """
    if request.max_redirects == 0:
        raise RedirectRefused(
            response, f"the server answered {response.status_line}, but no more redirects may be followed"
        )
    assert request.url is not None, "a request without a URL has no answer"
    here = request.url
    there = _location(here, response)
    if here.secure and not there.secure:
        raise RedirectRefused(response, f"the server redirects from wss to ws, which is not encrypted: {there}")
    if there.host == without_zone(here.host):  # The server does not know the zone through which it was reached.
        there = replace(there, host=here.host)
    same_origin = (here.scheme, here.host, here.port) == (there.scheme, there.host, there.port)
    headers = request.headers if same_origin else request.headers.without(*_FOR_ONE_ORIGIN)
    return replace(request, url=there, headers=headers, max_redirects=request.max_redirects - 1)


def _location(here: WebSocketURL, response: Response) -> WebSocketURL:
    answered = f"the server answered {response.status_line}"
    values = [value for value in response.headers.get_all("Location") if value]
    if len(values) != 1:
        raise RedirectRefused(response, f"{answered}, which needs one Location, but it has {len(values) or 'none'}")
    reference = _as_utf8(values[0])
    base = f"{'https' if here.secure else 'http'}://{here.authority}{here.target}"
    try:
        joined = urldefrag(urljoin(base, reference)).url
    except ValueError:
        joined = reference  # InvalidURL will say that it is malformed, without its secrets.
    try:
        there = WebSocketURL.parse(re.sub(r"^http(s?):", r"ws\1:", joined, flags=re.IGNORECASE))
    except InvalidURL as error:
        raise RedirectRefused(response, f"{answered} with a Location that can't be used: {error}") from error
    if there.credentials is not None:  # RFC 9110 §4.2.4: an error if the source is not trusted
        raise RedirectRefused(response, f"the server redirects to a Location with a user name in it: {there}")
    return there


def _as_utf8(value: str) -> str:
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return value
