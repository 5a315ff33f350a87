from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypedDict

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from polysocket import OpeningFailed, ReceiveTimeout, WebSocketClosed, basic_request
from polysocket.asyncio import AsyncioBackend


class State(TypedDict):
    backend: AsyncioBackend


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[State]:
    async with AsyncioBackend(request=basic_request.bearer_auth("my-token").timeouts(open=5)) as backend:
        yield {"backend": backend}


async def translate(request: Request) -> Response:
    try:
        async with request.state.backend.connect("wss://translator.example.com/") as ws:
            await ws.send_text(request.query_params["text"])
            return JSONResponse(await ws.receive_text(timeout=5))
    except (OpeningFailed, ReceiveTimeout, WebSocketClosed) as error:
        return JSONResponse({"error": str(error)}, status_code=502)


app = Starlette(routes=[Route("/translate", translate)], lifespan=lifespan)
