import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, HTTPException

from polysocket import Gap
from polysocket.asyncio import reconnect

prices: dict[str, int] = {}


async def follow_prices() -> None:
    # No error is final: the feed is followed as long as the application runs.
    async with reconnect("wss://prices.example.com/", is_final=lambda error: False) as connections:
        async for message in connections.messages():
            if isinstance(message, Gap):
                prices.clear()  # Prices may have changed meanwhile.
            else:
                item, price = str(message).split("=")
                prices[item] = int(price)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    following = asyncio.create_task(follow_prices())
    yield
    following.cancel()
    await asyncio.wait([following])


app = FastAPI(lifespan=lifespan)


@app.get("/prices/{item}")
async def price_of(item: str) -> int:
    if item not in prices:
        raise HTTPException(404, f"there is no price of {item}")
    return prices[item]
