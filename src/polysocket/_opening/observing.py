"""Tell the observations of a websocket how its opening ends."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable

from polysocket._session.session import Session
from polysocket.observers.observation import Observation, guarded

__all__ = ["observed"]


async def observed(opening: Awaitable[Session], observations: Iterable[Observation]) -> Session:
    """Await a session, and tell the observations about it, from its opening to its end."""
    try:
        session = await opening
    except BaseException as error:
        for observation in observations:
            guarded(observation.rejected)(error)
        raise
    for observation in observations:
        guarded(observation.opened)(session.response)
        session.observe(observation)
    return session
