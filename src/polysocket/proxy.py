"""Proxies as values: their URLs, and the choice of one for a server's URL.

A proxy's user and password come from its URL, and stay out of every ``repr``, ``str`` and error.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias, cast

from polysocket._no_proxy import is_exempt
from polysocket.errors import InvalidRequest, InvalidURL
from polysocket.headers import Headers
from polysocket.redaction import redact_url
from polysocket.request import basic_credentials, basic_request
from polysocket.url import WebSocketURL, authority, parse_url, without_zone

if TYPE_CHECKING:
    from ssl import SSLContext

__all__ = [
    "Proxy",
    "ProxySetting",
    "as_proxy",
    "check_client_context",
    "check_context",
    "needs_settings",
    "system_proxy",
]

_PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}

_VARIABLES = {"ws": ("ws_proxy", "http_proxy", "all_proxy"), "wss": ("wss_proxy", "https_proxy", "all_proxy")}
"""The variables of the environment that may name the proxy for a scheme, the first one first."""

HAS_PROXY_SETTINGS = sys.platform in ("darwin", "win32")
"""Whether the system may name its proxies elsewhere than in the environment."""

_MAX_SOCKS_CREDENTIAL = 255  # bytes of a user name or password, whose length is sent in one byte (RFC 1929 §2)

# What to write instead of True and False, which other libraries take, and of an async function.
_PROXY_REMEDIES = {
    "True": ": system_proxy, the default, is the system's",
    "False": ": None is no proxy",
    "coroutine": ": the function is a plain one in every flavour",
}
_SSL_REMEDIES = {
    "True": ": the URL's scheme turns TLS on, and ssl=None trusts the system's authorities",
    "False": ": the URL's scheme turns TLS off, and a context says what is checked",
}


@dataclass(frozen=True, slots=True, init=False, repr=False)
class Proxy:
    """A proxy, named by a URL: ``http://``, ``https://`` (TLS to the proxy) or ``socks5://``.

    The URL may have ``user:password@``. The proxy resolves the server's name, with SOCKS too, so ``socks5h://`` is the
    same as ``socks5://``. ``headers`` are sent to an http or https proxy with its ``CONNECT``. ``ssl`` is the context
    for an https proxy; by default the system's certificate authorities are trusted. Raises :class:`InvalidURL`,
    :class:`InvalidRequest`.
    """

    url: str
    headers: Headers
    ssl: SSLContext | None
    scheme: str = field(init=False, compare=False)
    host: str = field(init=False, compare=False)
    port: int = field(init=False, compare=False)
    credentials: tuple[str, str] | None = field(init=False, compare=False)
    _source: str = field(init=False, compare=False)  # the system's setting that names this proxy, in words; or empty

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        ssl: SSLContext | None = None,
    ) -> None:
        parsed = parse_url(url, "proxy URL", _PORTS)
        if parsed.parts.path.strip("/") or parsed.parts.query:
            raise InvalidURL(f"{redact_url(url)!r} has a path or a query, but a proxy is a host with a port")
        set_ = object.__setattr__  # as dataclasses do for a frozen class
        set_(self, "url", url)
        set_(self, "scheme", parsed.scheme.removesuffix("h"))
        set_(self, "host", parsed.host)
        set_(self, "port", parsed.port)
        set_(self, "credentials", parsed.credentials)
        set_(self, "headers", basic_request.with_headers(headers).headers)
        set_(self, "ssl", ssl)
        set_(self, "_source", "")
        self._check()

    def _check(self) -> None:
        check_client_context(self.ssl)
        if self.ssl is not None and self.scheme != "https":
            raise InvalidRequest(f"ssl of a Proxy is for https proxies, and this is {self}")
        if self.scheme == "socks5":
            if self.headers:
                raise InvalidRequest(f"a SOCKS proxy takes no headers, and this is {self}")
            if self.credentials is not None:
                sizes = [len(_encoded(each)) for each in self.credentials]
                if not sizes[0] or max(sizes) > _MAX_SOCKS_CREDENTIAL:
                    raise InvalidURL(f"the user of {self} has from 1 to 255 bytes, its password at most 255 (RFC 1929)")
            return
        if "Host" in self.headers:
            raise InvalidRequest("the Host header of a Proxy can't be set by hand: it names the server")
        if self.credentials is not None:
            if "Proxy-Authorization" in self.headers:
                raise InvalidRequest(f"{self} has a user in its URL, and a Proxy-Authorization header beside it")
            basic_credentials(*self.credentials)

    @property
    def place(self) -> str:
        """Host and port in words, for errors; with the setting that names the proxy if the program did not."""
        source = f" (in {self._source})" if self._source else ""
        return f"the proxy {self.host} port {self.port}{source}"

    def __str__(self) -> str:
        """Return the URL without credentials."""
        return f"{self.scheme}://{authority(self.host, self.port)}"

    def __repr__(self) -> str:
        user = "" if self.credentials is None else "…@"
        parts = [repr(f"{self.scheme}://{user}{authority(self.host, self.port)}")]
        if self.headers:
            parts.append(f"headers={self.headers!r}")
        if self.ssl is not None:
            parts.append(f"ssl={self.ssl!r}")
        return f"Proxy({', '.join(parts)})"


ProxySetting: TypeAlias = str | Proxy | Callable[[WebSocketURL], str | Proxy | None] | None
"""The type of ``proxy``: a URL, a :class:`Proxy`, a function that chooses one for each URL, or None for none."""


def system_proxy(url: WebSocketURL, /) -> Proxy | None:
    """Return the system's proxy for a URL, or None: the default of the option ``proxy``.

    The environment names it: ``wss_proxy``, ``https_proxy`` or ``all_proxy`` for wss, and ``ws_proxy``, ``http_proxy``
    or ``all_proxy`` for ws, each in lower case or in upper case. ``no_proxy`` has the exceptions: hosts, ``.domain``,
    ``*.domain``, addresses, networks such as ``10.0.0.0/8``, and ``*``. There is no proxy for ``localhost`` and
    loopback addresses. If none of these variables is set, the settings of macOS or Windows are used. A proxy without a
    scheme is an http proxy. Errors name the variable. Raises :class:`InvalidURL`.
    """
    if not isinstance(url, WebSocketURL):
        raise InvalidURL(f"url is a WebSocketURL, not {type(url).__name__}: WebSocketURL.parse(url) makes one")
    if HAS_PROXY_SETTINGS and needs_settings(url):
        kind = "https" if url.secure else "http"
        named, source = _in_settings(kind, url), f"the system's settings for {kind}"
    else:
        named, source = None, ""
        for variable, value in _variables(_VARIABLES[url.scheme]):
            if value:
                named, source = value, f"the environment's variable {variable}"
                break
        exceptions = _variables(["no_proxy"]) if named else []
        if named and is_exempt(url.host, url.port, exceptions[0][1] if exceptions else ""):
            return None
    if not named:
        return None
    try:
        proxy = Proxy(named if "://" in named else f"http://{named}")
    except (InvalidURL, InvalidRequest) as error:
        raise InvalidURL(f"the proxy in {source} can't be used: {error}") from error
    object.__setattr__(proxy, "_source", source)
    return proxy


def needs_settings(url: WebSocketURL) -> bool:
    """Return whether :func:`system_proxy` reads the settings of a system that has some, which blocks an event loop."""
    if is_exempt(url.host, url.port, ""):
        return False
    return not _variables([*_VARIABLES["ws"], *_VARIABLES["wss"], "no_proxy"])


def _variables(names: Iterable[str]) -> list[tuple[str, str]]:
    """Return the variables that are set, each in lower case or else in upper case, as curl and Python read them."""
    found: list[tuple[str, str]] = []
    for name in names:
        is_header = name == "http_proxy" and "REQUEST_METHOD" in os.environ
        for each in (name, name.upper()):
            # In CGI, HTTP_PROXY is a header of the client (CVE-2016-5385). In Windows a name has no case.
            if is_header and (each.isupper() or sys.platform == "win32"):
                continue
            if (value := os.environ.get(each)) is not None:
                found.append((each, value.strip()))
                break
    return found


def _in_settings(kind: str, url: WebSocketURL) -> str | None:
    """Return the proxy in the settings of macOS, which asks a daemon, or of Windows, which may look up names."""
    import urllib.request  # noqa: PLC0415 - an HTTP client, slow to import, and needed in these systems only

    named = urllib.request.getproxies()
    if urllib.request.proxy_bypass(authority(without_zone(url.host), url.port)):
        return None
    return named.get(kind) or named.get("all")


def check_context(context: object) -> None:
    """Raise :class:`InvalidRequest` unless these TLS settings are an ``ssl.SSLContext``, or None."""
    if context is not None:
        import ssl  # noqa: PLC0415 - slow to import, and only some connections need TLS

        if not isinstance(context, ssl.SSLContext):
            raise InvalidRequest(f"ssl is an ssl.SSLContext, not {context!r}{_SSL_REMEDIES.get(repr(context), '')}")


def check_client_context(context: object) -> None:
    """Raise :class:`InvalidRequest` unless these TLS settings are an ``ssl.SSLContext`` for a client, or None."""
    check_context(context)
    if context is not None:
        import ssl  # noqa: PLC0415 - slow to import, and only some connections need TLS

        # An attempt to connect would tell, and reconnect() try again.
        if cast("ssl.SSLContext", context).protocol == ssl.PROTOCOL_TLS_SERVER:
            raise InvalidRequest(
                "ssl is a client's context, not a server's: make it by ssl.create_default_context(), "
                "which is a client's without Purpose.CLIENT_AUTH"
            )


def as_proxy(setting: str | Proxy, what: str = "proxy") -> Proxy:
    """Return the proxy of a setting; raises :class:`InvalidURL`, :class:`InvalidRequest`."""
    if isinstance(setting, str):
        return Proxy(setting)
    if not isinstance(setting, Proxy):
        raise _not_a_proxy(setting, what)
    return setting


def _not_a_proxy(setting: object, what: str) -> InvalidRequest:
    """Return the error for another object, which may hold a password, as another library's mapping of URLs does."""
    if inspect.iscoroutine(setting):
        setting.close()
    shown = repr(setting) if isinstance(setting, bool) else type(setting).__name__
    return InvalidRequest(f"{what} is a URL, a Proxy or None, not {shown}{_PROXY_REMEDIES.get(shown, '')}")


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:  # It quotes the password, so it is not chained.
        raise InvalidURL("the proxy's user or password has a character that UTF-8 can't encode") from None
