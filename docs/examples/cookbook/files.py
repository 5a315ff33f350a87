import sys
from collections.abc import Iterator
from pathlib import Path

from polysocket.blocking import connect

PART = 64 * 1024  # bytes


def parts_of(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while part := file.read(PART):
            yield part


with connect("wss://echo.example.com/", max_message_size=None) as ws, Path("copy.bin").open("wb") as copy:
    ws.send_fragments(parts_of(Path("original.bin")))
    copy.writelines(part if isinstance(part, bytes) else part.encode() for part in ws.receive_fragments())
    print(copy.tell(), "bytes", file=sys.stderr)
