"""``polysocket echo`` runs a server until Ctrl-C."""

from __future__ import annotations

import signal
import socket
import sys
from pathlib import Path

import pytest
import trustme

from polysocket import blocking
from tests.cli.processes import LIMIT, echo, finish, interrupt, read_line, run, started, write


def test_it_prints_its_url_and_sends_each_message_back() -> None:
    with echo() as server, started(server.url, "--eof-wait", "0") as client:
        write(client, b"Hello!\n")
        assert read_line(client) == b"Hello!\n"
        assert finish(client) == (0, b"", "")


def test_it_listens_on_the_given_host_and_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with echo("--host", "localhost", "--port", str(port)) as server:
        assert server.url == f"ws://localhost:{port}/"
        with blocking.connect(server.url) as ws:
            ws.send_text("Hello!")
            assert ws.receive_text() == "Hello!"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
def test_ctrl_c_ends_it_though_a_client_is_connected() -> None:
    with echo() as server, blocking.connect(server.url):
        interrupt(server.process)
        assert server.process.wait(LIMIT) == 0
        assert finish(server.process) == (0, b"", "")


def test_a_port_in_use_has_a_status_and_an_explanation() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        status, out, err = run("echo", "--port", str(listener.getsockname()[1]))
    assert (status, out) == (1, b"")
    assert err.startswith("polysocket echo: the server can't run")


def test_tls_makes_a_certificate_and_names_its_authority() -> None:
    with echo("--tls") as server:
        assert server.url.startswith("wss://localhost:")
        assert server.process.stderr is not None
        path = server.process.stderr.readline().decode().rpartition("--ca ")[2].strip()
        assert run("--ca", path, server.url) == (0, b"", "")
        assert run(server.url).status == 1
        if sys.platform != "win32":
            interrupt(server.process)
            assert server.process.wait(LIMIT) == 0
            assert not Path(path).exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals for one process")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_signal_to_end_removes_the_certificate_of_tls(name: str) -> None:
    with echo("--tls") as server:
        assert server.process.stderr is not None
        path = Path(server.process.stderr.readline().decode().rpartition("--ca ")[2].strip())
        assert path.exists()
        server.process.send_signal(signal.Signals[name])
        assert server.process.wait(LIMIT) == 0
        assert not path.parent.exists()
        assert finish(server.process) == (0, b"", "")


def test_tls_takes_a_given_certificate(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    with echo("--tls", "--cert", str(tmp_path / "cert.pem"), "--key", str(tmp_path / "key.pem")) as server:
        assert run("--ca", str(tmp_path / "ca.pem"), server.url) == (0, b"", "")


def test_a_certificate_that_can_not_be_read_has_a_status() -> None:
    status, _, err = run("echo", "--tls", "--cert", "no-such-file.pem")
    assert status == 1
    assert "the server can't run" in err
