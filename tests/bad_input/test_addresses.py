"""Unusual addresses: names with a trailing dot, IPv6 addresses with a zone."""

from __future__ import annotations

import errno
import socket
import ssl

import pytest
import trustme

from polysocket import ConnectFailed
from tests.bad_input.conftest import serving
from tests.bad_input.peer import Conversation, Peer, frame, upgrading
from tests.bad_input.programs import nothing
from tests.interop.flavours import Flavour

CLOSE = frame(8, b"\x03\xe8")
LOOPBACK = 1  # the number of the loopback interface on Linux


def has_zones() -> bool:
    """Return whether the system connects to ::1 with a zone; macOS allows one for link-local addresses only."""
    try:
        [*_, address] = socket.getaddrinfo(f"::1%{LOOPBACK}", 0, type=socket.SOCK_STREAM)[0]
        with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
            host, _, *rest = address
            with socket.socket(socket.AF_INET6) as sock:
                sock.connect((host, listener.getsockname()[1], *rest))
    except OSError:
        return False
    return bool(rest[1])


needs_zones = pytest.mark.skipif(not has_zones(), reason="this system has no zone for ::1")


def server_names(context: ssl.SSLContext) -> list[str | None]:
    """Return a list to which a server's context adds the name of each SNI."""
    names: list[str | None] = []

    def note(_: ssl.SSLObject, name: str | None, __: ssl.SSLContext) -> None:
        names.append(name)

    context.sni_callback = note
    return names


def test_a_trailing_dot_is_left_out_of_sni_and_of_the_check_of_the_certificate(
    flavour: Flavour, ca: trustme.CA, trusting: ssl.SSLContext
) -> None:
    names = server_names(context := serving(ca, "localhost"))
    with Peer(upgrading(CLOSE), tls=context) as peer:
        sock = socket.create_connection(("127.0.0.1", peer.port))  # since not every system knows "localhost."
        flavour.open("wss://localhost./", nothing, ssl=trusting, sock=sock)
    assert names == ["localhost"]
    assert b"\r\nHost: localhost.\r\n" in peer.conversation.request


@needs_zones
@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_the_zone_of_an_address_is_used_for_connecting_only(
    flavour: Flavour, ca: trustme.CA, trusting: ssl.SSLContext, scheme: str
) -> None:
    names = server_names(context := serving(ca, "::1"))
    with Peer(upgrading(CLOSE), address="::1", tls=context if scheme == "wss" else None) as peer:
        flavour.open(f"{scheme}://[::1%25{LOOPBACK}]:{peer.port}/", nothing, ssl=trusting if scheme == "wss" else None)
    assert names == ([None] if scheme == "wss" else [])  # RFC 6066 §3: an address is not sent
    assert b"\r\nHost: [::1]:%d\r\n" % peer.port in peer.conversation.request


@needs_zones
def test_a_zone_is_decoded_in_the_text_of_an_error(flavour: Flavour) -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ConnectFailed) as caught:
        flavour.open(f"ws://[::1%25{LOOPBACK}]:{port}/", nothing)
    place = f"::1%{LOOPBACK} port {port}"
    assert str(caught.value).startswith(f"could not connect to {place}: [Errno {errno.ECONNREFUSED}]")


@needs_zones
@pytest.mark.parametrize("there", ["/there", "http://[::1]:{port}/there"])
def test_a_redirect_to_the_same_address_keeps_the_zone(flavour: Flavour, there: str) -> None:
    def answer(conversation: Conversation) -> None:
        conversation.read_request()
        if conversation.request.startswith(b"GET /there "):
            upgrading(CLOSE)(conversation)
        else:
            location = there.format(port=peer.port).encode()
            conversation.answer(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: %b\r\n\r\n" % location)

    with Peer(answer, address="::1", connections=2) as peer:
        flavour.open(f"ws://[::1%25{LOOPBACK}]:{peer.port}/", nothing)
    assert [b"\r\nHost: [::1]:" in each.request for each in peer.conversations] == [True, True]
