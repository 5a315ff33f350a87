import asyncio
import sys

from polysocket.asyncio import connect


async def watch(seconds: float) -> None:
    await asyncio.sleep(seconds)
    for task in asyncio.all_tasks():
        task.print_stack(file=sys.stdout)


async def main(url: str, seconds: float) -> None:
    watching = asyncio.create_task(watch(seconds))
    async with connect(url) as ws:
        print(await ws.receive_text())
    await watching


asyncio.run(main(sys.argv[1], float(sys.argv[2])))
