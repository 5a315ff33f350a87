"""The threaded server of websockets; see :mod:`tests.interop.servers.paths`."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Sequence

from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve
from websockets.typing import Subprotocol

from tests.interop.servers.paths import (
    ANSWERED,
    CLOSE_CODE,
    CLOSE_REASON,
    COUNT,
    TOO_LONG,
    Closing,
    Endpoints,
    chosen,
    closings,
    is_served,
)

MAX_SIZE = 2 * 1024 * 1024  # bytes; websockets (17.4) applies it to compressed data


def handle(ws: ServerConnection) -> None:
    assert ws.request is not None
    match ws.request.path.split("/")[1:]:
        case ["echo"]:
            echo(ws)
        case ["headers"]:
            ws.send(json.dumps(list(ws.request.headers.raw_items())))
        case ["ping"]:
            ws.ping().wait()
            echo(ws)
        case ["count"]:
            for number in range(COUNT):
                ws.send(str(number))
        case ["close"]:
            ws.close(CLOSE_CODE, CLOSE_REASON)
        case ["closing", key]:
            closings[key].set_result(closing_of(ws))
        case ["closed", key]:
            ws.send(json.dumps(closings[key].result(TOO_LONG)))


def echo(ws: ServerConnection) -> None:
    for message in ws:
        ws.send(message)


def closing_of(ws: ServerConnection) -> Closing:
    try:
        message = ws.recv()
    except ConnectionClosed as error:
        return (1006, None) if error.rcvd is None else (error.rcvd.code, error.rcvd.reason)
    raise AssertionError(f"{message!r} came, not a Close")


def refuse(ws: ServerConnection, request: Request) -> Response | None:
    return None if is_served(request.path) else ws.respond(404, "nothing here\n")


def choose(_: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    return chosen(offered)


def add_headers(_: ServerConnection, __: Request, response: Response) -> None:
    for name, value in ANSWERED:
        response.headers[name] = value


def main() -> None:
    endpoints = Endpoints()
    servers = [
        serve(
            handle,
            sock=sock,
            ssl=endpoints.context(name),
            select_subprotocol=choose,
            process_request=refuse,
            process_response=add_headers,
            max_size=MAX_SIZE,
        )
        for name, sock in endpoints.sockets.items()
    ]
    threads = [threading.Thread(target=server.serve_forever) for server in servers]
    for thread in threads:
        thread.start()
    endpoints.announce()
    sys.stdin.read()
    for server in servers:
        server.shutdown()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
