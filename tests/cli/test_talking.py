"""``polysocket URL`` at pipes: each line of the input is a message, and each message is a line of the output."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
import tomllib
from contextlib import suppress
from pathlib import Path

import pytest

from polysocket import Blocking, Close, Ping, WebSocket, WebSocketClosed
from polysocket._cli.arguments import client_parser
from polysocket._cli.command import main
from polysocket.testing import EchoServer
from tests.cli.processes import COMMAND, LIMIT, environment, finish, interrupt, read_line, run, started, write
from tests.docs.programs import scripted


def test_the_script_runs_the_command() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert pkgutil.resolve_name(project["scripts"]["polysocket"]) is main


def test_a_line_in_comes_back_as_a_line_out() -> None:
    with EchoServer() as server, started(server.url, "--eof-wait", "0") as process:
        for line in (b"Hello!\n", "¡Hola! 你好!\n".encode()):
            write(process, line)
            assert read_line(process) == line
        assert finish(process) == (0, b"", "")


def test_a_line_without_an_end_is_sent_and_its_answer_awaited() -> None:
    def script(ws: WebSocket[Blocking]) -> None:
        assert ws.receive_text() == "Hello!"
        ws.send_text("thank you")
        ws.close()

    with scripted(script) as url:
        assert run(url, "--eof-wait", "inf", lines=b"Hello!") == (0, b"thank you\n", "")


def test_the_websocket_is_closed_once_the_wait_after_the_input_is_over() -> None:
    def script(ws: WebSocket[Blocking]) -> None:
        assert ws.receive_text() == "Hello!"
        assert ws.receive() == Close(1000)

    with scripted(script) as url:
        assert run(url, "--eof-wait", "0.01", lines=b"Hello!\n") == (0, b"", "")


def test_binary_lines_and_messages_are_bytes() -> None:
    def script(ws: WebSocket[Blocking]) -> None:
        assert ws.receive_binary() == b"\xff\xfe\r"
        ws.send_binary(b"\x00\xff")
        ws.close()

    with scripted(script) as url:
        assert run(url, "--binary", "--eof-wait", "inf", lines=b"\xff\xfe\r\n") == (0, b"\x00\xff\n", "")


def test_json_is_indented_and_other_messages_stay_as_they_are() -> None:
    def script(ws: WebSocket[Blocking]) -> None:
        ws.send_text('{"name":"Zoë"}')
        ws.send_text("{no json")
        ws.close()

    with scripted(script) as url:
        ended = run(url, "--json", "--eof-wait", "inf")
    assert ended == (0, '{\n  "name": "Zoë"\n}\n{no json\n'.encode(), "")


NUMBERS = ("1e999", "-1E+5", "1.10", "-0", "0.1234567890123456789012345", "123456789012345678901234567890")


def test_indented_json_keeps_its_numbers_and_repeated_names() -> None:
    def script(ws: WebSocket[Blocking]) -> None:
        ws.send_text(f"[{','.join(NUMBERS)}]")
        ws.send_text(r' {"a" :1,"a":[{ },[ ],true, null,"[\"\u00e4\\\\"]}')
        ws.send_text("[NaN]")
        ws.send_text("1.0")
        ws.close()

    with scripted(script) as url:
        ended = run(url, "--json", "--eof-wait", "inf")
    assert (ended.status, ended.err) == (0, "")
    assert ended.out.decode().splitlines() == [
        "[",
        *[f"  {number}," for number in NUMBERS[:-1]],
        f"  {NUMBERS[-1]}",
        "]",
        "{",
        '  "a": 1,',
        '  "a": [',
        "    {},",
        "    [],",
        "    true,",
        "    null,",
        r'    "[\"ä\\\\"',
        "  ]",
        "}",
        "[NaN]",
        "1.0",
    ]


def test_verbose_logs_the_handshake_and_the_frames() -> None:
    with EchoServer() as server, started(server.url, "-v", "--eof-wait", "0") as process:
        write(process, b"Hello!\n")
        assert read_line(process) == b"Hello!\n"
        ended = finish(process)
    for text in ("sent GET / HTTP/1.1", "received HTTP/1.1 101", "sent Text, 6 bytes: 'Hello!'", "received Close 1000"):
        assert text in ended.err


def test_ping_pings_the_server_at_the_interval() -> None:
    def script(ws: WebSocket[Blocking]) -> None:
        for _ in range(2):
            assert isinstance(ws.receive(timeout=LIMIT), Ping)
        ws.close()

    with scripted(script) as url:
        assert run(url, "--ping", "0.1", "--eof-wait", "inf") == (0, b"", "")


def test_an_interval_of_0_pings_never() -> None:
    parse = client_parser().parse_args
    assert parse(["--ping", "0", "ws://localhost"]).ping is None
    assert parse(["ws://localhost"]).ping == 20


def test_reconnect_sends_the_next_line_on_the_next_websocket() -> None:
    def restart(ws: WebSocket[Blocking]) -> None:
        ws.send_text("one")
        ws.close(1001)

    def answer(ws: WebSocket[Blocking]) -> None:
        ws.send_text("two")
        assert ws.receive_text() == "Hello!"
        ws.close(1008, "enough")

    with scripted(restart, answer) as url, started(url, "--reconnect") as process:
        assert read_line(process) == b"one\n"
        assert read_line(process) == b"two\n"
        write(process, b"Hello!\n")
        assert process.wait(LIMIT) == 3
        ended = finish(process)
    assert ended.err.count("is open") == 2
    assert "1001 (going away)" in ended.err
    assert "enough" in ended.err


def test_without_reconnect_the_end_of_the_websocket_is_the_end() -> None:
    with scripted(lambda ws: ws.close(1001)) as url:
        assert run(url, "--eof-wait", "inf").status == 0


@pytest.mark.parametrize("code", [1003, 1011, 4000])
def test_an_abnormal_end_has_a_status_and_an_explanation(code: int) -> None:
    with scripted(lambda ws: ws.close(code, "go away")) as url:
        status, out, err = run(url, "--eof-wait", "inf")
    assert (status, out) == (3, b"")
    assert str(code) in err
    assert "go away" in err


def test_input_that_is_not_text_has_a_status_and_names_the_option() -> None:
    with EchoServer() as server:
        status, _, err = run(server.url, lines=b"\xff\n")
    assert status == 4
    assert "--binary" in err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_output_that_can_not_be_written_has_a_status() -> None:
    with EchoServer() as server, Path("/dev/full").open("wb") as full:
        command = [*COMMAND, server.url]
        ran = subprocess.run(
            command, input=b"a\n", stdout=full, stderr=subprocess.PIPE, env=environment(), timeout=LIMIT, check=False
        )
    assert ran.returncode == 4
    assert b"standard output can't be written" in ran.stderr


def test_a_reader_that_has_seen_enough_ends_the_command_normally() -> None:
    def flood(ws: WebSocket[Blocking]) -> None:
        with suppress(WebSocketClosed):
            while True:
                ws.send_text("news")

    with scripted(flood) as url, started(url) as process:
        assert read_line(process) == b"news\n"
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(LIMIT) == 0
        assert process.stderr is not None
        assert process.stderr.read() == b""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
def test_ctrl_c_closes_the_websocket_and_shows_no_traceback() -> None:
    def script(ws: WebSocket[Blocking]) -> None:
        ws.send_text("ready")
        assert ws.receive() == Close(1000)

    with scripted(script) as url, started(url) as process:
        assert read_line(process) == b"ready\n"
        interrupt(process)
        assert process.wait(LIMIT) == 130
        assert finish(process) == (130, b"", "")


def test_the_limit_of_a_message_is_told_without_an_option_of_python() -> None:
    def script(ws: WebSocket[Blocking]) -> None:
        ws.send_binary(bytes(64 * 1024 * 1024 + 1))  # compressed to 64 KiB
        with suppress(WebSocketClosed):
            ws.receive()

    with scripted(script) as url, started(url) as process:
        assert process.wait(LIMIT) == 3
        assert finish(process).err.endswith("; the command has a limit of 67108864 bytes\n")
