"""Send each line of the standard input to a server, and print its answers."""

import argparse
import sys

from polysocket import InvalidURL, OpeningFailed, ReceiveTimeout, WebSocketClosed
from polysocket.blocking import connect


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="where to connect, such as wss://echo.example.com/")
    parser.add_argument(
        "--timeout", type=float, default=10, help="seconds to wait for an answer (default: %(default)s)"
    )
    arguments = parser.parse_args()
    try:
        with connect(arguments.url, open_timeout=arguments.timeout) as ws:
            for line in sys.stdin:
                ws.send_text(line.rstrip("\n"))
                print(ws.receive_text(timeout=arguments.timeout), flush=True)
    except InvalidURL as error:
        parser.error(str(error))
    except (OpeningFailed, ReceiveTimeout, WebSocketClosed) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130  # as a shell reports it
    return 0


if __name__ == "__main__":
    sys.exit(main())
