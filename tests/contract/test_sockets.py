"""Sockets that are not left open, Unix sockets, and names that are looked up, in every flavour."""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys
from typing import Any

import pytest

from polysocket import ConnectFailed, InvalidRequest, OpenTimeout
from polysocket.testing import EchoServer
from polysocket.testing.contract.flavour import Flavour, promise
from polysocket.testing.contract.places import Listener, Place

SHORT = 0.1  # an open_timeout that passes

needs_abstract_addresses = pytest.mark.skipif(sys.platform != "linux", reason="abstract addresses are Linux's")


@pytest.mark.filterwarnings("ignore:unclosed transport")  # asyncio's, which it has not finished to make
@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("way", ["localhost", "127.0.0.1", "sock"])
@promise
async def test_a_socket_is_closed_if_setting_its_options_fails(
    flavour: Flavour, place: Place, monkeypatch: pytest.MonkeyPatch, way: str, number: int
) -> None:
    """In macOS, setsockopt() fails after the peer's reset. trio ignores the error."""
    changed: list[socket.socket] = []
    setsockopt = socket.socket.setsockopt

    def fail(sock: socket.socket, *arguments: Any) -> None:
        if arguments[:2] == (socket.IPPROTO_TCP, socket.TCP_NODELAY):
            changed.append(sock)
            if len(changed) == number + 1:
                raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        setsockopt(sock, *arguments)

    listener = Listener(place)
    options: dict[str, Any] = {}
    if way == "sock":
        options["sock"] = socket.create_connection(listener.socket.getsockname())
    monkeypatch.setattr(socket.socket, "setsockopt", fail)
    try:
        with pytest.raises((ConnectFailed, OpenTimeout)):
            await flavour.open(
                listener.url.replace("localhost", "127.0.0.1" if way != "localhost" else way),
                open_timeout=SHORT,
                **options,
            )
    finally:
        listener.hang_up()
    if len(changed) > number:
        assert changed[number].fileno() == -1


@pytest.mark.skipif(sys.platform != "linux", reason="other systems tell of a reset elsewhere")
@promise
async def test_the_error_for_a_given_socket_that_was_reset_says_so(flavour: Flavour) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        sock = socket.create_connection(server.getsockname())
        other, _ = server.accept()
    other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    other.close()
    with pytest.raises(ConnectFailed, match=r"the given socket: .*Connection reset by peer") as caught:
        await flavour.open("ws://localhost/", sock=sock)
    assert caught.value.errno == errno.ECONNRESET
    assert sock.fileno() == -1


@promise
async def test_a_socket_that_was_given_before_is_refused(flavour: Flavour) -> None:
    """Else the request, with its credentials, would go to the first websocket's peer in the middle of its frames."""
    with EchoServer() as server:
        port = int(server.url.rpartition(":")[2].strip("/"))
        sock = socket.create_connection(("127.0.0.1", port))
        ws = await flavour.open(server.url, sock=sock)
        for is_open in (True, False):
            with pytest.raises(ConnectFailed, match=r"the given socket: .*it was given before; pass a new"):
                await flavour.open(server.url, sock=sock)
            if is_open:
                await ws.send_text("Hello!")
                assert await ws.receive_text() == "Hello!"
                await ws.close()


@promise
async def test_a_platform_without_unix_sockets_is_named_in_the_error(
    flavour: Flavour, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:  # uvloop needs one at the loop's end
        patch.delattr(socket, "AF_UNIX", raising=False)
        with pytest.raises(ConnectFailed, match=r"the Unix socket a: .*this platform has no Unix sockets") as caught:
            await flavour.open("ws://localhost/", unix_path="a")
    assert caught.value.errno == errno.EAFNOSUPPORT


@needs_abstract_addresses
@promise
async def test_an_abstract_address_works(flavour: Flavour, place: Place) -> None:
    path = f"\0{place.folder}"
    with EchoServer(unix_path=path) as server:
        ws = await flavour.open(server.url, unix_path=path)
        await ws.send_text("Hello!")
        assert await ws.receive_text() == "Hello!"
        await ws.close()


@needs_abstract_addresses
@promise
async def test_the_nul_of_an_abstract_address_is_escaped_in_errors(flavour: Flavour, place: Place) -> None:
    with pytest.raises(ConnectFailed) as caught:
        await flavour.open("ws://localhost/", unix_path=f"\0{place.folder}/nothing")
    assert str(caught.value).startswith(f"could not connect to the Unix socket \\x00{place.folder}/nothing: [Errno ")


@pytest.mark.parametrize("path", ["", "a\0b", "\0a\0"])
@promise
async def test_a_path_that_the_system_would_cut_is_refused(flavour: Flavour, path: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await flavour.open("ws://localhost/", unix_path=path)
    assert str(caught.value) == f"unix_path is a path without NUL, or an abstract address, not {path!r}"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has names of any bytes, and a backlog that refuses")
@promise
async def test_a_path_that_is_not_unicode_is_shown_escaped(flavour: Flavour, place: Place) -> None:
    path = os.fsdecode(os.fsencode(place.folder) + b"/\xff\x9b")
    with pytest.raises(ConnectFailed, match=r"/\\udcff\\udc9b: \[Errno 2\]"):
        await flavour.open("ws://localhost/", unix_path=path)


@pytest.mark.parametrize(
    ("host", "looked_up"),
    [("my_service", "my_service"), ("r3---sn-xyz", "r3---sn-xyz"), ("☕", "xn--53h"), ("faß", "xn--fa-hia")],
)
@promise
async def test_a_host_is_looked_up_as_browsers_do(flavour: Flavour, host: str, looked_up: str) -> None:
    """The runtime must not encode it again: IDNA 2003 has another name for ß, and IDNA 2008 refuses the others."""
    with pytest.raises(ConnectFailed, match=rf"could not connect to {looked_up}\.invalid port 80"):
        await flavour.open(f"ws://{host}.invalid/")
