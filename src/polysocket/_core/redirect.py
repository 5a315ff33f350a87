"""Redirects (RFC 9110 §15.4): the request that follows from a request and its answer, as values."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import urldefrag, urljoin

from polysocket.errors import InvalidURL, RedirectRefused
from polysocket.headers import Headers
from polysocket.request import Request
from polysocket.response import Response
from polysocket.url import WebSocketURL, has_same_origin, without_zone

__all__ = ["is_redirect", "redirected"]

_REDIRECTS = frozenset({301, 302, 303, 307, 308})

_FOR_EACH_ORIGIN = ("origin", "user-agent")
"""The headers that say who asks. Any other may be a secret of the first origin, such as ``X-API-Key``."""


def is_redirect(response: Response) -> bool:
    """Return whether an answer is a redirect that :func:`redirected` follows."""
    return response.status in _REDIRECTS


def redirected(request: Request, response: Response) -> Request:
    """Return the request that a redirect asks for, with one redirect less to follow; raises :class:`RedirectRefused`.

    The headers, with credentials and cookies, go to their own origin only (RFC 9110 §15.4), except Origin and
    User-Agent.
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
    again = replace(request, url=there, max_redirects=request.max_redirects - 1)
    if has_same_origin(here, there):
        return again
    kept = Headers(pair for pair in request.headers.pairs if pair[0].lower() in _FOR_EACH_ORIGIN)
    return replace(again, headers=kept, auth=None)


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
        there = WebSocketURL.parse(joined)
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
