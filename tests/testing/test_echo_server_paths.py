"""The echo server on a Unix socket whose path is taken, and in a process with many open files."""

from __future__ import annotations

import contextlib
import gc
import os
import pathlib
import socket
import warnings

import pytest

from polysocket import blocking
from polysocket.testing import EchoServer


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no Unix sockets on this system")
def test_a_path_that_is_taken_raises_an_error_and_leaks_no_socket_and_the_file_stays(tmp_path: pathlib.Path) -> None:
    taken = tmp_path / "taken"
    taken.touch()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        with pytest.raises(OSError, match="in use"), EchoServer(unix_path=taken):
            pass
        gc.collect()
    assert [str(warning.message) for warning in caught] == []
    assert taken.exists()


def test_it_serves_in_a_process_with_more_open_files_than_select_takes() -> None:
    resource = pytest.importorskip("resource", reason="no limit of open files on this system")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 2048:
        resource.setrlimit(resource.RLIMIT_NOFILE, (2048, hard))
    with contextlib.ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        for _ in range(1024):
            stack.callback(os.close, os.open(os.devnull, os.O_RDONLY))
        with EchoServer() as server, blocking.connect(server.url) as ws:
            ws.send_text("a")
            assert ws.receive_text() == "a"
