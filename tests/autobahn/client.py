"""The echo client for Autobahn's fuzzing server: ``python client.py FLAVOUR URL``; the agent is the flavour.

The client asks for the number of cases, echoes in each until the server ends it, and requests the reports.
"""

import asyncio
import contextlib
import importlib
import sys
from collections.abc import Iterator
from typing import Any

from polysocket import Async, Deflate, WebSocket, WebSocketClosed, polymorphic
from polysocket._core.judge import verdicts

# The client offers every parameter, so that each case on compression runs. Cases send up to 16 MiB.
OPTIONS: dict[str, Any] = {
    "compression": Deflate(client_max_window_bits=15, window_bits=15),
    "max_message_size": None,
    "open_timeout": 60,
}


@polymorphic
async def echo(ws: WebSocket[Async]) -> None:
    """Send each message back, as text or binary as it came, until the peer closes."""
    async for message in ws:
        if isinstance(message, str):
            await ws.send_text(message)
        else:
            await ws.send_binary(message)


def steps(url: str, agent: str, cases: int) -> Iterator[str]:
    for case in range(1, cases + 1):
        yield f"{url}/runCase?case={case}&agent={agent}"
    yield f"{url}/updateReports?agent={agent}"


def run_blocking(connect: Any, url: str, agent: str) -> None:
    with connect(f"{url}/getCaseCount", **OPTIONS) as ws:
        cases = int(ws.receive_text())
    for step in steps(url, agent, cases):
        # Many cases end with an error on purpose; the server judges it.
        with contextlib.suppress(WebSocketClosed), connect(step, **OPTIONS) as ws:
            echo(ws)


async def run_async(connect: Any, url: str, agent: str) -> None:
    async with connect(f"{url}/getCaseCount", **OPTIONS) as ws:
        cases = int(await ws.receive_text())
    for step in steps(url, agent, cases):
        with contextlib.suppress(WebSocketClosed):
            async with connect(step, **OPTIONS) as ws:
                await echo(ws)


def main(flavour: str, url: str) -> None:
    connect = importlib.import_module(f"polysocket.{flavour}").connect
    match flavour:
        case "blocking":
            run_blocking(connect, url, flavour)
        case "asyncio":
            asyncio.run(run_async(connect, url, flavour))
        case "trio":
            import trio

            trio.run(run_async, connect, url, flavour)
    if verdicts["valid data frame"]:
        sys.exit("a valid data frame was passed to wsproto")
    print(
        f"{flavour:<9} judged by wsproto: {verdicts.total()} Closes and invalid headers, no valid data frame",
        flush=True,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
