"""The flavours and conversations in turn, and the server and the proxy via which they talk."""

from __future__ import annotations

import json
import os
import pathlib
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import trustme

from tests.faults.conversation import CONVERSATIONS, Conversation
from tests.faults.flavours import FLAVOURS, Run

ROOT = pathlib.Path(__file__).parents[2]
TOO_LONG = 10  # seconds for the server to end
FOR_ALL = 3600  # seconds for one test that takes all bytes


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Allow the tests more time if they take all bytes."""
    if os.environ.get("FAULTS") == "all":
        for item in items:
            if pathlib.Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.timeout(FOR_ALL))


@dataclass(frozen=True)
class Server:
    """The running server: its ports without and with TLS, and the context that trusts it."""

    ports: list[int]
    trusting: ssl.SSLContext


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server in a process of its own, for the whole session."""
    ca = trustme.CA(key_type=trustme.KeyType.ECDSA)
    trusting = ssl.create_default_context()
    ca.configure_trust(trusting)
    certificate = tmp_path_factory.mktemp("faults") / "server.pem"
    issued = ca.issue_cert("127.0.0.1", key_type=trustme.KeyType.ECDSA)
    issued.private_key_and_cert_chain_pem.write_to_path(certificate)
    with subprocess.Popen(
        [sys.executable, "-m", "tests.faults.server", certificate],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            yield Server(json.loads(process.stdout.readline()), trusting)
            process.communicate(timeout=TOO_LONG)
        finally:
            process.kill()


@pytest.fixture(params=FLAVOURS)
def run(request: pytest.FixtureRequest) -> Run:
    """The function that runs cases in each flavour in turn."""
    return FLAVOURS[request.param]


@pytest.fixture(params=CONVERSATIONS, ids=[each.name for each in CONVERSATIONS])
def conversation(request: pytest.FixtureRequest) -> Conversation:
    """Each conversation in turn."""
    chosen: Conversation = request.param
    return chosen
