import asyncio
import hashlib

from polysocket.asyncio import connect


async def main() -> None:
    digest = hashlib.sha256()
    async with connect("wss://files.example.com/backup", max_message_size=None) as ws:
        while True:
            frame = await ws.receive_binary_frame()
            digest.update(frame.payload)
            if frame.final:
                break
    print(digest.hexdigest())


asyncio.run(main())
