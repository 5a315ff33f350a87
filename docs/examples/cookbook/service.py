import asyncio
import signal
import sys

from polysocket import Gap
from polysocket.asyncio import reconnect


async def main(url: str) -> None:
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    async with reconnect(url) as connections, asyncio.TaskGroup() as group:

        async def stop() -> None:
            await stopping.wait()
            await connections.close()

        group.create_task(stop())
        async for message in connections.messages():
            if not isinstance(message, Gap):
                print(message, flush=True)
    print("stopped")


asyncio.run(main(sys.argv[1]))
