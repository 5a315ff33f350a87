"""The negotiation of permessage-deflate: offers, answers and what they agree on (RFC 7692 §7.1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from polysocket._core.deflate import DeflateParameters, Parameters, PerMessageDeflate, accept, agree, offer
from polysocket.compression import Deflate
from polysocket.errors import InvalidUpgrade
from tests.compression import (
    HELLO,
    WatchedZlib,
    compressed,
    extension,
    noise,
    receive,
    sent,
)
from tests.connections import CLIENT, SERVER, deflated
from tests.wsproto_extension import WsprotoExtension


@pytest.mark.parametrize(
    ("config", "text"),
    [
        (Deflate(), "permessage-deflate; client_max_window_bits"),
        (Deflate(client_max_window_bits=10), "permessage-deflate; client_max_window_bits=10"),
        (
            Deflate(server_max_window_bits=8),
            "permessage-deflate; server_max_window_bits=8; client_max_window_bits",
        ),
        (
            Deflate(True, True, 15, 8),
            (
                "permessage-deflate; server_no_context_takeover; client_no_context_takeover; "
                "server_max_window_bits=15; client_max_window_bits=8"
            ),
        ),
    ],
)
def test_the_offer_names_the_settings_and_always_client_max_window_bits(config: Deflate, text: str) -> None:
    assert offer(config) == text


@pytest.mark.parametrize(
    ("config", "answer", "agreed"),
    [
        (Deflate(), [], DeflateParameters()),
        (
            Deflate(),  # a server may limit itself without being asked (§7.1.1.1, §7.1.2.1)
            [("server_no_context_takeover", None), ("server_max_window_bits", "8")],
            DeflateParameters(server_no_context_takeover=True, server_max_window_bits=8),
        ),
        (
            Deflate(),
            [("client_max_window_bits", "15"), ("client_no_context_takeover", None)],
            DeflateParameters(client_no_context_takeover=True, client_max_window_bits=15),
        ),
        (
            Deflate(server_max_window_bits=12),
            [("server_max_window_bits", "12")],
            DeflateParameters(server_max_window_bits=12),
        ),
        (
            Deflate(server_no_context_takeover=True),
            [("server_no_context_takeover", None)],
            DeflateParameters(server_no_context_takeover=True),
        ),
        (
            Deflate(
                client_no_context_takeover=True, client_max_window_bits=9
            ),  # applies even if the server does not answer it
            [],
            DeflateParameters(client_no_context_takeover=True, client_max_window_bits=9),
        ),
        (
            Deflate(client_max_window_bits=10),
            [("client_max_window_bits", "8")],
            DeflateParameters(client_max_window_bits=8),
        ),
        (
            Deflate(
                client_max_window_bits=10
            ),  # the server may ignore the offered value (§7.1.2.2), but the client keeps to it
            [("client_max_window_bits", "12")],
            DeflateParameters(client_max_window_bits=10),
        ),
    ],
)
def test_the_client_accepts_an_answer_within_its_offer(
    config: Deflate, answer: Parameters, agreed: DeflateParameters
) -> None:
    assert agree(config, answer, None).parameters == agreed


MALFORMED: list[tuple[Parameters, str]] = [
    ([("unknown", None)], "no parameter 'unknown'"),
    ([("Server_No_Context_Takeover", None)], "no parameter 'Server_No_Context_Takeover'"),
    ([("", None)], "no parameter ''"),
    ([("server_no_context_takeover", None)] * 2, "server_no_context_takeover is there twice"),
    ([("client_max_window_bits", "9"), ("client_max_window_bits", "10")], "client_max_window_bits is there twice"),
    ([("server_no_context_takeover", "")], "server_no_context_takeover takes no value, but has ''"),
    ([("server_no_context_takeover", "true")], "server_no_context_takeover takes no value, but has 'true'"),
    ([("client_no_context_takeover", "1")], "client_no_context_takeover takes no value, but has '1'"),
    ([("server_max_window_bits", None)], "server_max_window_bits needs a number from 8 to 15, but has None"),
    *(
        ([(name, value)], f"{name} needs a number from 8 to 15, but has {value!r}")
        for name in ("server_max_window_bits", "client_max_window_bits")
        for value in ["", "7", "16", "0", "-9", "+9", "07", "08", "010", "8.0", "1e1", "abc", "0x9", " 9", "1_0", "٩"]
    ),
]


@pytest.mark.parametrize(
    ("config", "answer", "complaint"),
    [
        *((Deflate(), answer, complaint) for answer, complaint in MALFORMED),
        (Deflate(), [("client_max_window_bits", None)], "client_max_window_bits needs a value"),
        (Deflate(server_no_context_takeover=True), [], "lacks server_no_context_takeover"),
        (Deflate(server_max_window_bits=10), [], "lacks server_max_window_bits"),
        (Deflate(server_max_window_bits=10), [("server_max_window_bits", "11")], "server_max_window_bits=11, above 10"),
    ],
)
def test_the_client_refuses_a_wrong_answer_and_says_what_is_wrong(
    config: Deflate, answer: Parameters, complaint: str
) -> None:
    with pytest.raises(InvalidUpgrade) as refused:
        agree(config, answer, None)
    assert complaint in str(refused.value)


@pytest.mark.parametrize("offered", [offered for offered, _ in MALFORMED])
def test_the_server_declines_a_malformed_offer(offered: Parameters) -> None:
    assert accept(Deflate(), offered, None) is None


@pytest.mark.parametrize(
    ("config", "offered", "answer"),
    [
        (Deflate(), [], ""),
        (Deflate(), [("client_max_window_bits", None)], ""),
        (Deflate(), [("client_max_window_bits", "10")], "; client_max_window_bits=10"),
        (Deflate(client_max_window_bits=9), [("client_max_window_bits", None)], "; client_max_window_bits=9"),
        (Deflate(client_max_window_bits=9), [("client_max_window_bits", "8")], "; client_max_window_bits=8"),
        (Deflate(client_max_window_bits=9), [("client_max_window_bits", "12")], "; client_max_window_bits=9"),
        (Deflate(client_max_window_bits=9), [], ""),  # it MUST NOT be answered to an offer without it (§7.1.2.2)
        (Deflate(), [("server_max_window_bits", "8")], "; server_max_window_bits=8"),
        (Deflate(server_max_window_bits=11), [], "; server_max_window_bits=11"),
        (Deflate(server_max_window_bits=11), [("server_max_window_bits", "12")], "; server_max_window_bits=11"),
        (Deflate(server_max_window_bits=11), [("server_max_window_bits", "10")], "; server_max_window_bits=10"),
        (Deflate(), [("server_no_context_takeover", None)], "; server_no_context_takeover"),
        (Deflate(), [("client_no_context_takeover", None)], "; client_no_context_takeover"),
        (Deflate(True, True), [], "; server_no_context_takeover; client_no_context_takeover"),
    ],
)
def test_the_answer_has_the_offered_parameters_and_those_of_the_servers_settings(
    config: Deflate, offered: Parameters, answer: str
) -> None:
    accepted = accept(config, offered, None)
    assert accepted is not None
    assert accepted[0] == str(accepted[1].parameters) == "permessage-deflate" + answer


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: agree(Deflate(), [("client_no_context_takeover", None)], None), "out"),
        (lambda: agree(Deflate(), [("server_no_context_takeover", None)], None), "in"),
        (lambda: _accepted([("server_no_context_takeover", None)]), "out"),
        (lambda: _accepted([("client_no_context_takeover", None)]), "in"),
    ],
    ids=["client's own", "client's peer", "server's own", "server's peer"],
)
def test_each_role_compresses_and_inflates_with_the_right_parameters(
    make: Callable[[], PerMessageDeflate], field: str, watch: WatchedZlib
) -> None:
    ext = WsprotoExtension(make())
    sent(ext, b"Hello")
    assert len(watch.compressors) == (field != "out")
    receive(ext, compressed(HELLO))
    assert len(watch.decompressors) == (field != "in")


def _accepted(offered: Parameters) -> PerMessageDeflate:
    accepted = accept(Deflate(), offered, None)
    assert accepted is not None
    return accepted[1]


def test_each_window_is_bounded_by_the_bits_of_its_sender(watch: WatchedZlib) -> None:
    parameters = DeflateParameters(server_max_window_bits=9, client_max_window_bits=10)
    for role, size in ((CLIENT, 2**9), (SERVER, 2**10)):
        watch.windows.clear()
        receive(extension(parameters, role), compressed(deflated(noise(5000), final=True) + deflated(b"Hello")))
        assert [len(window) for window in watch.windows] == [0, size]


def test_agreed_parameters_are_values() -> None:
    parameters = DeflateParameters(server_max_window_bits=10)
    assert replace(parameters) == extension(parameters).deflate.parameters
    assert len({parameters, replace(parameters)}) == 1
