"""The echo server on a Unix socket whose path is taken."""

from __future__ import annotations

import gc
import pathlib
import socket
import warnings

import pytest

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
