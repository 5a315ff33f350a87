"""Answers whose header decides: a body that is slow, that is torn, or that never ends holds nothing back."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import pytest

from polysocket import RedirectRefused, UpgradeRejected, basic_request
from polysocket.testing.contract import wire
from polysocket.testing.contract.fixtures import tcp_and_tls
from polysocket.testing.contract.flavour import Flavour, connect, promise
from polysocket.testing.contract.places import Peer, Place, answering, saying, upgrading

REDIRECTS = 5  # that take more than a second each, if the body of each is waited for

LENGTHS = {
    "with a length": b"Content-Length: 99\r\n\r\n",
    "in chunks": b"Transfer-Encoding: chunked\r\n\r\n",
    "to the end of the connection": b"\r\n",
}
BEGINNINGS = {
    "nothing": (b"", b""),
    "a part": (b"why: ", b"5\r\nwhy: \r\n"),
}

every_body: pytest.MarkDecorator = pytest.mark.parametrize("length", LENGTHS)
every_beginning: pytest.MarkDecorator = pytest.mark.parametrize("beginning", BEGINNINGS)


def begun(status: str, length: str, beginning: str, *fields: str) -> bytes:
    """Return an answer of which the body does not end."""
    plain, chunked = BEGINNINGS[beginning]
    head = "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {status}", *fields)).encode()
    return head + LENGTHS[length] + (chunked if length == "in chunks" else plain)


@tcp_and_tls
@every_body
@every_beginning
@pytest.mark.parametrize("status", ["302 Found", "308 Permanent"])
@promise
async def test_a_redirect_whose_body_does_not_end_is_followed(
    flavour: Flavour, place: Place, status: str, length: str, beginning: str
) -> None:
    redirect = begun(status, length, beginning, "Location: /there")
    with Peer(place, *[saying(redirect)] * REDIRECTS, upgrading()) as peer:
        began = time.monotonic()
        ws = await connect(flavour, peer, open_timeout=None)
        assert time.monotonic() - began < REDIRECTS, "each redirect took the time for a body"
        assert len(peer.requests) == REDIRECTS + 1
        peer.send(wire.text("a"))
        assert await ws.receive_text() == "a"
        peer.hang_up()
        await ws.close()


@every_body
@pytest.mark.parametrize(
    ("status", "open_timeout"),
    [("200 OK", 0.3), ("401 Unauthorized", None), ("503 Service Unavailable", 0.3), ("304 Not Modified", None)],
)
@promise
async def test_a_refusal_whose_body_does_not_end_has_the_part_that_came(
    flavour: Flavour, place: Place, length: str, status: str, open_timeout: float | None
) -> None:
    answer = begun(status, length, "a part")
    with Peer(place, saying(answer)) as peer, pytest.raises(UpgradeRejected) as caught:
        await connect(flavour, peer, open_timeout=open_timeout)
    assert caught.value.response.status_line == status
    assert caught.value.response.body == (b"" if status.startswith("304") else b"why: ")


@pytest.mark.parametrize(
    ("location", "length", "open_timeout"),
    [
        (["Location: /there"], "with a length", 0.3),
        ([], "in chunks", None),
        (["Location: mailto:a@b.example"], "to the end of the connection", 0.3),
    ],
)
@promise
async def test_a_redirect_that_is_refused_stays_one_if_its_body_does_not_end(
    flavour: Flavour, place: Place, location: list[str], length: str, open_timeout: float | None
) -> None:
    answer = begun("302 Found", length, "a part", *location)
    with Peer(place, saying(answer)) as peer:
        request = basic_request.get(peer.url).follow_redirects(0 if location == ["Location: /there"] else 5)
        with pytest.raises(RedirectRefused) as caught:
            await flavour.open(request, open_timeout=open_timeout)
    assert caught.value.response.body == b"why: "


def trickle(peer: Peer) -> None:
    """Send a byte of the body now and then, until the client has gone."""
    with contextlib.suppress(OSError):
        while True:
            peer.send(b"x")
            time.sleep(0.02)  # the pace of the peer, not a wait


def reset(peer: Peer) -> None:
    peer.stream  # noqa: B018 - waits until it is open
    peer.reset()


def hang_up(peer: Peer) -> None:
    peer.stream  # noqa: B018
    peer.hang_up()


@tcp_and_tls
@pytest.mark.parametrize("end", [trickle, reset, hang_up])
@promise
async def test_a_refusal_is_told_however_its_body_goes_on(
    flavour: Flavour, place: Place, end: Callable[[Peer], None]
) -> None:
    async def open_in_vain() -> UpgradeRejected:
        with pytest.raises(UpgradeRejected) as caught:
            await connect(flavour, peer, open_timeout=None)
        return caught.value

    with Peer(place, saying(begun("403 Forbidden", "with a length", "a part")[:-5])) as peer:
        opening = flavour.spawn(open_in_vain)
        ending = flavour.spawn(flavour.call, end, peer)
        error = await opening.result()
        await ending.result()
    assert error.response.status == 403
    assert bool(error.response.body) is (end is trickle)


@tcp_and_tls
@promise
async def test_a_body_that_comes_after_its_header_is_read_whole(flavour: Flavour, place: Place) -> None:
    whole = answering("403 Forbidden", body=b"because")(b"")
    with Peer(place, saying(whole[:-7])) as peer:
        sending = flavour.spawn(flavour.call, peer.send, b"because")
        with pytest.raises(UpgradeRejected) as caught:
            await connect(flavour, peer, open_timeout=None)
        await sending.result()
    assert caught.value.response.body == b"because"
