"""The command line: a URL with options, or a subcommand."""

from __future__ import annotations

import argparse
import math

from polysocket import __version__, basic_request
from polysocket.request import SHORTEST_PING_INTERVAL

__all__ = ["client_parser", "echo_parser"]

# Many servers answer a Close at once, and drop the answers to the messages before it. Most answers take less than this.
EOF_WAIT = 1.0

EPILOG = """\
Each line of standard input is sent as a message, and each received message is written to standard output as a line.

subcommands:
  polysocket echo    run an echo server (polysocket echo --help)
  polysocket demo    show one program in three flavours, against an echo server

exit status:
  0    closed normally, or the reader of standard output has gone
  1    the websocket could not be opened
  2    wrong usage
  3    the websocket ended abnormally
  4    standard input could not be sent, or standard output could not be written
  130  interrupted by Ctrl-C
"""


def client_parser() -> argparse.ArgumentParser:
    """Return the parser for ``polysocket URL``."""
    parser = argparse.ArgumentParser(
        prog="polysocket",
        usage="polysocket [options] URL\n       polysocket echo [options]\n       polysocket demo",
        description="Talk to a WebSocket server.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("url", metavar="URL", help="the server's ws:// or wss:// URL")
    parser.add_argument("--version", action="version", version=f"polysocket {__version__}")
    parser.add_argument("-v", "--verbose", action="store_true", help="log the handshake and the frames")

    opening = parser.add_argument_group("opening")
    opening.add_argument(
        "-H",
        "--header",
        dest="headers",
        metavar="'NAME: VALUE'",
        type=_header,
        action="append",
        default=[],
        help="send a header; may be repeated",
    )
    opening.add_argument(
        "--subprotocol",
        dest="subprotocols",
        metavar="NAME",
        action="append",
        default=[],
        help="offer a subprotocol; may be repeated, the preferred one first",
    )
    opening.add_argument("--auth", metavar="USER:PASSWORD", type=_credentials, help="authenticate by Basic auth")
    opening.add_argument("--proxy", metavar="URL", help="connect via this proxy, not the system's; 'none' for no proxy")
    trust = opening.add_mutually_exclusive_group()
    trust.add_argument("--ca", metavar="FILE", help="trust only the certificate authorities in this PEM file")
    trust.add_argument("--insecure", action="store_true", help="check neither the server's certificate nor its name")
    opening.add_argument(
        "--compression",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="offer compression (permessage-deflate), or not",
    )

    connection = parser.add_argument_group("connection")
    connection.add_argument(
        "--ping",
        metavar="SECONDS",
        type=_interval,
        default=basic_request.ping_interval,
        help="ping the server at this interval (%(default)s); 0 for no Pings",
    )
    connection.add_argument("--reconnect", action="store_true", help="open the next websocket when one has ended")
    connection.add_argument(
        "--eof-wait",
        metavar="SECONDS",
        type=_duration,
        default=EOF_WAIT,
        help="after the end of the input, receive for this long before closing (%(default)s); 'inf' for no limit",
    )

    messages = parser.add_argument_group("messages")
    messages.add_argument("--binary", action="store_true", help="send each line as a binary message")
    messages.add_argument("--json", action="store_true", help="indent the JSON that is received")
    return parser


def echo_parser() -> argparse.ArgumentParser:
    """Return the parser for ``polysocket echo``."""
    parser = argparse.ArgumentParser(
        prog="polysocket echo",
        description="Run an echo server for tests and demonstrations, and print its URL. Ctrl-C ends it.",
        allow_abbrev=False,
    )
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (%(default)s)")
    parser.add_argument(
        "--port", type=_port, default=8765, help="the port to listen on (%(default)s); 0 for a free one"
    )
    parser.add_argument(
        "--tls", action="store_true", help="use TLS; without --cert, with a new certificate, which needs trustme"
    )
    parser.add_argument("--cert", metavar="FILE", help="a PEM file with the certificate chain for --tls")
    parser.add_argument("--key", metavar="FILE", help="a PEM file with the private key, if it is not in --cert")
    return parser


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon:
        raise argparse.ArgumentTypeError(f"a header is 'Name: value', not {text!r}")
    return name.strip(), value.strip()


def _credentials(text: str) -> tuple[str, str]:
    user, colon, password = text.partition(":")
    if not colon:  # The text may be a password, so it is not shown.
        raise argparse.ArgumentTypeError("there is no ':' between user and password")
    return user, password


def _duration(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not seconds >= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds, 0 or more")
    return seconds


def _interval(text: str) -> float | None:
    """Return an interval; None for one that never ends, or for 0."""
    seconds = _duration(text)
    if 0 < seconds < SHORTEST_PING_INTERVAL:
        raise argparse.ArgumentTypeError(f"{text!r} is too short: at least {SHORTEST_PING_INTERVAL} seconds, or 0")
    return seconds if 0 < seconds < math.inf else None


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: a number from 0 to 65535")
    return int(text)
