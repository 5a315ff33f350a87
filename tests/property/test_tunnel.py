"""The conversation with a proxy, with arbitrary bytes in arbitrary chunks.

``ProxyFailed`` is the only error, and the chunking changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from polysocket._core.http1 import MAX_BODY, MAX_HEADER, MAX_HEADER_LINES
from polysocket._core.tunnel import Tunnel, tunnel_to
from polysocket.errors import InvalidRequest, ProxyFailed, ProxyRejected
from polysocket.headers import Headers
from polysocket.proxy import Proxy
from polysocket.response import Response
from polysocket.url import WebSocketURL

URL = WebSocketURL.parse("wss://server.example/chat?token=s3cret")
HTTP, HTTP_USER = Proxy("http://proxy.example:3128"), Proxy("http://me:p%40ss@proxy.example:3128")
SOCKS, SOCKS_USER = Proxy("socks5://proxy.example"), Proxy("socks5://me:p%40ss@proxy.example")

CUTS = st.lists(st.integers(1, 60), max_size=20)
TRAILING = st.binary(max_size=30)
HTTP_ANSWERS = [
    b"HTTP/1.1 200 Connection established\r\n\r\nafter",
    b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nafter",
    b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 299 Fine\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\nContent-Length: 10\r\n\r\n1234567890",
    b"HTTP/1.1 502 Bad\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\n12345\r\n2\r\n67\r\n0\r\nA: b\r\n\r\n",
    b"HTTP/1.0 403 No\r\n\r\nbody",
]
SOCKS_ANSWERS = [
    b"\x05\x00" + b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x50" + b"after",
    b"\x05\x02" + b"\x01\x00" + b"\x05\x00\x00\x04" + bytes(18) + b"after",
    b"\x05\x02" + b"\x01\x00" + b"\x05\x00\x00\x03\x04host\x00\x50" + b"after",
    b"\x05\x02" + b"\x01\x01",
    b"\x05\xff",
    b"\x05\x00" + b"\x05\x05\x00\x00\x00\x00",
]
PIECES = st.sampled_from([b"\r\n", b"\r\n\r\n", b" ", b":", b"\x00", b"\x05", b"\xff", b"HTTP/1.1 100 x\r\n\r\n", b"4"])

Outcome = tuple[type[ProxyFailed], Response | None] | bytes


@st.composite
def mutated(draw: st.DrawFn, originals: Sequence[bytes]) -> bytes:
    """Draw one of the answers, with some pieces removed, inserted or repeated."""
    data = draw(st.sampled_from(originals))
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 5)))
        piece = draw(PIECES | st.binary(max_size=3) | st.just(data[start : start + 40]))
        data = data[:start] + piece + data[end:]
    return data


def outcome(tunnel: Tunnel, data: bytes, cuts: Sequence[int]) -> tuple[Outcome, bytes]:
    """Return the outcome of a tunnel, and all bytes sent."""
    sent, position = tunnel.data_to_send(), 0
    try:
        for cut in [*cuts, len(data)]:
            chunk, position = data[position : position + cut], position + cut
            if chunk:
                opened = tunnel.receive(chunk)
                sent += tunnel.data_to_send()
                if opened is not None:
                    return opened + data[position:], sent
        opened = tunnel.receive(b"")
        assert opened is None, "EOF opens no tunnel"
    except ProxyFailed as error:
        if any(secret in str(error) for secret in ("p@ss", "s3cret")):
            raise AssertionError("the error shows a secret") from error
        return (type(error), getattr(error, "response", None)), sent + tunnel.data_to_send()
    raise AssertionError("EOF must raise an error")


def same_in_every_chunking(make: Callable[[], Tunnel], data: bytes, cuts: Sequence[int]) -> Outcome:
    result, sent = outcome(make(), data, cuts)
    assert (result, sent) == outcome(make(), data, []) == outcome(make(), data, [1] * len(data))
    assert b"s3cret" not in sent
    if not isinstance(result, bytes):
        _, response = result
        assert response is None or len(response.body) <= MAX_BODY
    return result


ANY = st.sampled_from([HTTP, HTTP_USER, SOCKS, SOCKS_USER])


@given(ANY, st.binary(max_size=300) | st.binary(max_size=100).map(b"HTTP/1.1 200 ".__add__), CUTS)
def test_a_tunnel_survives_arbitrary_bytes(proxy: Proxy, data: bytes, cuts: list[int]) -> None:
    same_in_every_chunking(lambda: tunnel_to(URL, proxy), data, cuts)


@given(st.sampled_from([HTTP, HTTP_USER]), mutated(HTTP_ANSWERS), CUTS)
@example(HTTP, b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", [])
def test_an_http_tunnel_survives_a_damaged_answer(proxy: Proxy, data: bytes, cuts: list[int]) -> None:
    same_in_every_chunking(lambda: tunnel_to(URL, proxy), data, cuts)


@given(st.sampled_from([SOCKS, SOCKS_USER]), mutated(SOCKS_ANSWERS), CUTS)
def test_a_socks_tunnel_survives_damaged_replies(proxy: Proxy, data: bytes, cuts: list[int]) -> None:
    same_in_every_chunking(lambda: tunnel_to(URL, proxy), data, cuts)


@given(st.integers(200, 299), st.sampled_from([b"1.0", b"1.1"]), TRAILING, CUTS)
def test_any_2xx_opens_the_tunnel_and_the_bytes_after_it_are_those_of_the_server(
    status: int, version: bytes, trailing: bytes, cuts: list[int]
) -> None:
    """RFC 9110 §9.3.6: length fields in the answer are ignored."""
    answer = b"HTTP/%s %d x\r\nContent-Length: 5\r\n\r\n" % (version, status) + trailing
    assert same_in_every_chunking(lambda: tunnel_to(URL, HTTP), answer, cuts) == trailing


@given(st.sampled_from([b"\x01" + bytes(4), b"\x04" + bytes(16), b"\x03\x03abc", b"\x03\x00"]), TRAILING, CUTS)
def test_a_socks_reply_opens_the_tunnel_with_any_address(address: bytes, trailing: bytes, cuts: list[int]) -> None:
    replies = b"\x05\x02" + b"\x01\x00" + b"\x05\x00\x00" + address + b"\x00\x50"
    assert same_in_every_chunking(lambda: tunnel_to(URL, SOCKS_USER), replies + trailing, cuts) == trailing


@given(st.integers(300, 599), st.binary(max_size=50), CUTS)
def test_another_status_is_a_rejection_with_its_body(status: int, body: bytes, cuts: list[int]) -> None:
    answer = b"HTTP/1.1 %d Not so\r\nContent-Length: %d\r\n\r\n" % (status, len(body)) + body
    result = same_in_every_chunking(lambda: tunnel_to(URL, HTTP), answer, cuts)
    assert not isinstance(result, bytes)
    assert result[1] is not None
    assert result[1].status == status
    assert result[1].body == (b"" if status == 304 else body)


@pytest.mark.parametrize("size", [1000, 64 * 1024, 10**6])
def test_the_memory_of_an_answer_is_bounded(size: int) -> None:
    cuts = [size] * (4 * MAX_BODY // size)
    result, _ = outcome(tunnel_to(URL, HTTP), b"HTTP/1.1 407 x\r\nA: " + b"a" * 2 * MAX_HEADER, cuts)
    assert result == (ProxyFailed, None)
    result, _ = outcome(tunnel_to(URL, HTTP), b"HTTP/1.1 403 x\r\n\r\n" + b"a" * 3 * MAX_BODY, cuts)
    assert not isinstance(result, bytes)
    assert result[1] is not None
    assert result[1].body == b"a" * MAX_BODY


def sent_by(proxy: Proxy, url: str, replies: bytes) -> bytes:
    return outcome(tunnel_to(WebSocketURL.parse(url), proxy), replies, [])[1]


def test_a_connect_request_has_the_bytes_of_the_rfcs() -> None:
    """RFC 9110 §9.3.6, RFC 7617."""
    assert sent_by(HTTP, "wss://server.example/chat", b"") == (
        b"CONNECT server.example:443 HTTP/1.1\r\nHost: server.example:443\r\n\r\n"
    )
    proxy = Proxy("http://me:p%40ss@proxy.example", headers={"User-Agent": "tests"})
    assert sent_by(proxy, "ws://[::1]:8000/", b"") == (
        b"CONNECT [::1]:8000 HTTP/1.1\r\nHost: [::1]:8000\r\nUser-Agent: tests\r\n"
        b"Proxy-Authorization: Basic bWU6cEBzcw==\r\n\r\n"
    )


def test_a_connect_request_with_too_many_header_lines_is_refused() -> None:
    proxy = Proxy("http://proxy.example", headers=[("X", "y")] * MAX_HEADER_LINES)
    with pytest.raises(InvalidRequest, match=r"the CONNECT to the proxy .* has 129 header lines"):
        tunnel_to(URL, proxy)


def test_socks_requests_have_the_bytes_of_the_rfcs() -> None:
    """RFC 1928 §3 and §4, RFC 1929 §2."""
    assert sent_by(SOCKS, "wss://server.example/", b"\x05\x00\x05") == (
        b"\x05\x01\x00" + b"\x05\x01\x00\x03\x0eserver.example\x01\xbb"
    )
    assert sent_by(SOCKS_USER, "ws://127.0.0.1:8000/", b"\x05\x02\x01\x00") == (
        b"\x05\x02\x00\x02" + b"\x01\x02me\x04p@ss" + b"\x05\x01\x00\x01\x7f\x00\x00\x01\x1f\x40"
    )
    assert sent_by(SOCKS_USER, "ws://[::1]/", b"\x05\x00") == (
        b"\x05\x02\x00\x02" + b"\x05\x01\x00\x04" + bytes(15) + b"\x01\x00\x50"
    )


def test_no_request_is_sent_to_a_socks_proxy_that_refuses_the_user() -> None:
    assert (
        sent_by(SOCKS_USER, "ws://server.example/", b"\x05\x02\x01\x01") == b"\x05\x02\x00\x02" + b"\x01\x02me\x04p@ss"
    )


def test_a_rejection_of_a_proxy_is_available_before_its_body_is_complete() -> None:
    tunnel = tunnel_to(URL, HTTP)
    assert tunnel.rejection is None
    assert tunnel.receive(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 10\r\n\r\nwhy") is None
    assert isinstance(tunnel.rejection, ProxyRejected)
    assert tunnel.rejection.response == Response(403, Headers({"Content-Length": "10"}), "Forbidden", body=b"why")


@pytest.mark.parametrize("proxy", [HTTP, SOCKS], ids=["http", "socks5"])
def test_the_zone_of_an_address_is_not_sent_to_a_proxy(proxy: Proxy) -> None:
    """RFC 6874 §4: it has a meaning on this machine only."""
    zoned, plain = (tunnel_to(WebSocketURL.parse(f"ws://[fe80::1{zone}]:81/"), proxy) for zone in ("%25eth0", ""))
    assert outcome(zoned, b"\x05\x00", [])[1] == outcome(plain, b"\x05\x00", [])[1]
