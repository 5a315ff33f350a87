"""The entry point of the command: parse the arguments, run what they name, and report errors in one line."""

from __future__ import annotations

import contextlib
import logging
import ssl
import sys
from argparse import Namespace
from collections.abc import Generator, Sequence

from polysocket import (
    ConnectOptions,
    Deflate,
    InvalidRequest,
    InvalidURL,
    OpeningFailed,
    UpgradeRejected,
    WebSocketClosed,
    WebSocketURL,
    is_final,
)
from polysocket._cli.arguments import client_parser, echo_parser
from polysocket._cli.console import Console
from polysocket._cli.conversation import Conversation
from polysocket._cli.exit_status import ExitStatus
from polysocket._cli.explaining import explained
from polysocket.blocking import Connections, reconnect

__all__ = ["main"]

# One connection of a person's own choice may take more memory than the library's default, which is for thousands.
LARGEST_MESSAGE = 64 * 1024 * 1024

BODY_SHOWN = 1000  # characters of a rejection's body: enough for a message, and little of a web page


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return its exit status.

    Args:
        arguments: The arguments of the command; None for those of the process.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        if given[:1] == ["echo"]:
            return _echo(given[1:])
        if given == ["demo"]:
            return _demo()
        return _talk(client_parser().parse_args(given))
    except KeyboardInterrupt:  # while opening, or again while closing
        return ExitStatus.INTERRUPTED


def _echo(given: list[str]) -> ExitStatus:
    parser = echo_parser()
    arguments = parser.parse_args(given)
    if arguments.key and not arguments.cert:
        parser.error("--key needs --cert")
    from polysocket._cli.echo import echo  # noqa: PLC0415 - polysocket.testing is slow to import

    return echo(arguments)


def _demo() -> ExitStatus:
    from polysocket._cli.demo import demo  # noqa: PLC0415 - with asyncio and trio, slow to import

    demo()
    return ExitStatus.NORMAL


def _talk(arguments: Namespace) -> ExitStatus:
    """Talk to the server of the URL."""
    with _console() as console, _logging(console, arguments.verbose):
        try:
            conversation = Conversation(
                console,
                _connections(arguments, console),
                reconnects=arguments.reconnect,
                binary=arguments.binary,
                json=arguments.json,
                eof_wait=arguments.eof_wait,
            )
            return conversation.run()
        except (InvalidURL, InvalidRequest) as error:
            console.note(f"polysocket: {explained(error)}")
            return ExitStatus.USAGE
        except OpeningFailed as error:
            console.note(f"polysocket: {explained(error)}")
            if isinstance(error, UpgradeRejected) and error.response.body:
                console.note(error.response.body.decode("utf-8", "replace")[:BODY_SHOWN])
            return ExitStatus.NOT_OPENED
        except WebSocketClosed:  # The conversation has said so.
            return ExitStatus.ABNORMAL


def _console() -> Console:
    """Return a console with an editor of lines if prompt_toolkit is installed and both ends are a terminal."""
    console = Console()
    if not console.is_terminal:
        return console
    try:
        from polysocket._cli.prompt import PromptConsole  # noqa: PLC0415 - prompt_toolkit may not be installed
    except ModuleNotFoundError:
        return console
    return PromptConsole()


def _connections(arguments: Namespace, console: Console) -> Connections:
    """Return the connections of a conversation: without ``--reconnect``, only the first one is used."""

    def is_last(error: Exception) -> bool:
        if not arguments.reconnect or is_final(error):
            return True
        if not isinstance(error, WebSocketClosed):  # The conversation notes the end of a websocket.
            console.note(f"polysocket: {explained(error)}; trying again")
        return False

    options: ConnectOptions = {
        "headers": arguments.headers,
        "subprotocols": arguments.subprotocols,
        "auth": arguments.auth,
        "compression": Deflate() if arguments.compression else None,
        "max_message_size": LARGEST_MESSAGE,
        "ping_interval": arguments.ping,
        "ssl": _tls(arguments),
    }
    if arguments.proxy is not None:
        options["proxy"] = None if arguments.proxy == "none" else arguments.proxy
    return reconnect(arguments.url, is_final=is_last, **options)


def _tls(arguments: Namespace) -> ssl.SSLContext | None:
    """Return the TLS settings that the options ask for; None for the default ones."""
    if (arguments.insecure or arguments.ca) and not WebSocketURL.parse(arguments.url).secure:
        option = "--insecure" if arguments.insecure else "--ca"
        raise InvalidRequest(f"{option} is for wss URLs, and this is a ws URL")
    if arguments.insecure:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    if arguments.ca is None:
        return None
    try:
        return ssl.create_default_context(cafile=arguments.ca)
    except OSError as error:  # SSLError, of a file that is not PEM, is an OSError.
        raise InvalidRequest(f"--ca {arguments.ca} can't be used: {error}") from error


class _NoteHandler(logging.Handler):
    """A handler that writes each line of the log where the console's notes go."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        self._console.note(self.format(record))


@contextlib.contextmanager
def _logging(console: Console, is_verbose: bool) -> Generator[None]:
    """Write the log of polysocket to standard error: with each frame, or warnings only."""
    logger = logging.getLogger("polysocket")
    handler = _NoteHandler(console)
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG if is_verbose else logging.WARNING)
    try:
        yield
    finally:
        logger.removeHandler(handler)
