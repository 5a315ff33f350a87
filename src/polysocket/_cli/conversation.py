"""The conversation with a server: the main thread prints what is received, another sends the lines of the input.

The blocking flavour allows one thread to send while another receives, so neither needs an event loop.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

from polysocket import WebSocketClosed
from polysocket._cli.console import Console, OutputClosed, OutputFailed
from polysocket._cli.exit_status import ExitStatus
from polysocket._cli.explaining import explained
from polysocket._cli.rendering import indented
from polysocket.blocking import Connections, WebSocket

__all__ = ["Conversation"]


class Conversation:
    """One run of the command: lines are sent, messages are printed, until the input or the connection ends.

    Args:
        console: Standard input and output.
        connections: The websockets to use.
        reconnects: Whether another websocket follows one that has ended.
        binary: Whether the lines are sent as binary messages.
        json: Whether JSON is printed with indentation.
        eof_wait: Seconds to go on receiving after the end of the input.
    """

    def __init__(
        self,
        console: Console,
        connections: Connections,
        *,
        reconnects: bool,
        binary: bool,
        json: bool,
        eof_wait: float,
    ) -> None:
        self._console = console
        self._connections = connections
        self._reconnects = reconnects
        self._is_binary = binary
        self._is_json = json
        self._eof_wait = None if eof_wait > threading.TIMEOUT_MAX else eof_wait
        self._changed = threading.Condition()  # guards the following, and tells the threads of their changes
        self._websocket: WebSocket | None = None
        self._is_over = False
        self._ended_by_input: ExitStatus | None = None

    def run(self) -> ExitStatus:
        """Talk until the end, and return how it ended.

        Raises:
            OpeningFailed: No websocket was opened.
            WebSocketClosed: A websocket has ended, and no attempt to open another may follow.
        """
        with self._connections:
            try:
                return self._receive()
            except KeyboardInterrupt:
                self._close()
                return ExitStatus.INTERRUPTED
            except OutputClosed:
                self._close()
                return ExitStatus.NORMAL
            except OutputFailed as error:
                self._console.note(f"standard output can't be written: {error}")
                self._close()
                return ExitStatus.STDIO
            finally:
                with self._changed:
                    self._is_over = True
                    self._changed.notify_all()

    def _receive(self) -> ExitStatus:
        """Print the messages of each websocket."""
        status = ExitStatus.NORMAL
        for websocket in self._connections:
            self._begin(websocket)
            error: WebSocketClosed | None = None
            try:
                for message in websocket:
                    self._console.write_message(indented(message) if self._is_json else message)
            except WebSocketClosed as closed:
                error = closed
            websocket.close()  # which waits, if the thread that sends is closing it
            info = websocket.close_info
            is_normal = error is None and info is not None and info.is_normal
            status = ExitStatus.NORMAL if is_normal else ExitStatus.ABNORMAL
            if self._console.is_terminal or self._reconnects or not is_normal:
                self._console.note(explained(error or info))
            if self._ended_by_input is not None or not self._reconnects:
                break
        return self._ended_by_input or status

    def _begin(self, websocket: WebSocket) -> None:
        """Hand a new websocket to the threads that send, which start with the first one."""
        if self._console.is_terminal or self._reconnects:
            self._console.note(f"{websocket.url} is open")
        with self._changed:
            is_first = self._websocket is None
            self._websocket = websocket
            self._changed.notify_all()
        if is_first:
            threading.Thread(target=self._send_lines, daemon=True).start()

    def _close(self) -> None:
        if self._websocket is not None:
            self._websocket.close()

    def _send_lines(self) -> None:
        """Send each line of the input, then close."""
        status = ExitStatus.NORMAL
        try:
            self._send_each(self._console.lines())
            self._wait_until_over(self._eof_wait)
        except KeyboardInterrupt:
            status = ExitStatus.INTERRUPTED
        except UnicodeDecodeError:
            self._console.note("the input is not UTF-8, so it can't be sent as text: use --binary")
            status = ExitStatus.STDIO
        except OSError as error:
            self._console.note(f"standard input can't be read: {error}")
            status = ExitStatus.STDIO
        with self._changed:
            self._ended_by_input = status
        self._close()
        self._connections.close()  # It may be waiting for the next attempt.

    def _send_each(self, lines: Iterable[bytes]) -> None:
        for line in lines:
            websocket = self._wait_for_websocket(None)
            while websocket is not None:
                try:
                    if self._is_binary:
                        websocket.send_binary(line)
                    else:
                        websocket.send_text(line.removesuffix(b"\r").decode())
                    break
                except WebSocketClosed:  # The peer can't have received the whole line.
                    websocket = self._wait_for_websocket(websocket)
            if websocket is None:
                return

    def _wait_for_websocket(self, ended: WebSocket | None) -> WebSocket | None:
        """Return the websocket that is open, not the one that has ended; None if no other follows."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_over or self._websocket is not ended)
            return None if self._is_over else self._websocket

    def _wait_until_over(self, seconds: float | None) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self._is_over, seconds)
