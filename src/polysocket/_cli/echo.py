"""``polysocket echo``: an echo server in the foreground."""

from __future__ import annotations

import contextlib
import signal
import socket
import ssl
import sys
import tempfile
from argparse import Namespace
from collections.abc import Generator
from pathlib import Path
from typing import Any, NoReturn, cast

from polysocket._cli.exit_status import ExitStatus
from polysocket.testing import EchoServer

__all__ = ["echo"]


def echo(arguments: Namespace) -> ExitStatus:
    """Run the server until Ctrl-C or another signal to end; return a status."""
    try:
        _end_as_ctrl_c_does()
        with _tls(arguments) as context, EchoServer(ssl=context, host=arguments.host, port=arguments.port) as server:
            print(server.url, flush=True)
            _wait_for_signal()
    except KeyboardInterrupt:
        return ExitStatus.NORMAL
    except ModuleNotFoundError:
        return _failed("--tls without --cert needs trustme: pip install trustme")
    except OSError as error:  # SSLError is an OSError.
        return _failed(f"the server can't run: {error}")


def _end_as_ctrl_c_does() -> None:
    """Let the other signals to end raise KeyboardInterrupt, too, so that the folder of the certificate is removed."""
    for name in ("SIGTERM", "SIGHUP"):  # Windows has no SIGHUP.
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:  # nohup ignores SIGHUP.
            signal.signal(number, signal.default_int_handler)


def _wait_for_signal() -> NoReturn:
    """Wait until a signal's handler raises.

    Python writes a byte for each signal. One that comes when a ``time.sleep()`` is about to begin would not end it.
    """
    waiting, woken_by = socket.socketpair()
    with waiting, woken_by:
        woken_by.setblocking(False)
        signal.set_wakeup_fd(woken_by.fileno())
        try:
            while True:
                waiting.recv(1)
        finally:
            signal.set_wakeup_fd(-1)


def _failed(message: str) -> ExitStatus:
    print(f"polysocket echo: {message}", file=sys.stderr)
    return ExitStatus.NOT_OPENED


@contextlib.contextmanager
def _tls(arguments: Namespace) -> Generator[ssl.SSLContext | None]:
    """Provide the server's TLS settings: a given certificate, or one of a new authority; None without TLS."""
    if not (arguments.tls or arguments.cert):
        yield None
        return
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    if arguments.cert:
        context.load_cert_chain(arguments.cert, arguments.key)
        yield context
        return
    import trustme  # noqa: PLC0415 - for this option only, and it may not be installed

    authority = trustme.CA()
    certificate = authority.issue_cert("localhost", arguments.host)
    cast("Any", certificate).configure_cert(context)  # Its type names pyOpenSSL, which may not be installed.
    with tempfile.TemporaryDirectory(prefix="polysocket-") as folder:
        path = Path(folder, "ca.pem")
        authority.cert_pem.write_to_path(path)
        print(f"trust its certificate authority: --ca {path}", file=sys.stderr, flush=True)
        yield context
