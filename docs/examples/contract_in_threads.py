from typing import Any, Unpack

import pytest

from polysocket import Backend, ConnectOptions, Request, WebSocket, blocking
from polysocket.effects import Effect
from polysocket.effects.blocking import BlockingEffect
from polysocket.testing.contract import Flavour, ThreadFlavour
from polysocket.testing.contract.promises import *  # noqa: F403


class BlockingFlavour(ThreadFlavour):
    async def connect(self, url_or_request: str | Request, **options: Unpack[ConnectOptions]) -> WebSocket[Any]:
        return blocking.connect(url_or_request, **options)

    def backend(self, *, request: Request) -> Backend[Any]:
        return blocking.BlockingBackend(request=request)

    def effect(self) -> Effect:
        return BlockingEffect()


@pytest.fixture
def flavour() -> Flavour:
    return BlockingFlavour()
