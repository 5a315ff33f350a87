from hypothesis import given
from hypothesis import strategies as st

from polysocket import Async, Blocking, WebSocket, polymorphic
from polysocket.testing import Faults, memory_pair
from polysocket.testing.strategies import fragmented, messages


@polymorphic
async def length(ws: WebSocket[Async]) -> int:
    return len(await ws.receive_message())


@given(st.data(), messages(max_size=100))
def test_fragments_are_joined(data: st.DataObject, message: str | bytes) -> None:
    frames = data.draw(fragmented(message))
    with memory_pair(Blocking, to_client=Faults(pieces=(3, 1))) as (client, server):
        for number, frame in enumerate(frames):
            server.send(frame, is_continuation=number > 0)
        assert length(client) == len(message)
