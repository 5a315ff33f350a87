"""TLS over any stream, written once for all flavours: OpenSSL between two memory buffers.

A lock guards OpenSSL's object, which is not safe for one thread that sends while another receives; it is never held
while something waits. What WebSockets are is not known here.
"""

from __future__ import annotations

import contextlib
import functools
import ssl
import threading

from polysocket.effects import ByteStream

__all__ = ["TLSStream", "default_context"]


RECORD_SIZE = 16 * 1024  # RFC 8446 §5.1: OpenSSL gives at most a record at a time


@functools.cache
def default_context() -> ssl.SSLContext:
    """The context for ``wss`` where none is given: the system's certificate authorities, host names checked."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


class TLSStream:
    """A :class:`~polysocket.effects.ByteStream` that encrypts another; made by :meth:`start`."""

    def __init__(
        self, stream: ByteStream, context: ssl.SSLContext, server_hostname: str | None, server_side: bool
    ) -> None:
        self._stream = stream
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side, server_hostname)
        self._lock = threading.Lock()
        self._error: ssl.SSLError | None = None

    @classmethod
    async def start(
        cls,
        stream: ByteStream,
        context: ssl.SSLContext,
        *,
        server_hostname: str | None = None,
        server_side: bool = False,
    ) -> TLSStream:
        """Do the TLS handshake; raises ``ssl.SSLError`` (an OSError). The given stream is left to the caller then."""
        self = cls(stream, context, server_hostname, server_side)
        while not self._shake_hands():
            await stream.drain()
            if not self._take(await stream.read()):
                raise ssl.SSLEOFError(ssl.SSL_ERROR_EOF, "the connection ended during the TLS handshake")
        await stream.drain()
        return self

    @property
    def pending(self) -> int:
        """As of the stream below: what was written is encrypted at once."""
        return self._stream.pending

    async def read(self) -> bytes:
        """Decrypted bytes; the end of the stream with or without TLS's own closing is ``b""``."""
        while (data := self._decrypt()) is None:
            self._take(await self._stream.read())
        return data

    def write(self, data: bytes) -> None:
        """Encrypt all of ``data`` and hand it to the stream below."""
        with self._lock:
            rest = memoryview(data)
            while rest:
                rest = rest[self._tls.write(rest) :]
            self._flush()

    async def drain(self) -> None:
        """Wait as the stream below does."""
        await self._stream.drain()

    async def close(self) -> None:
        """Say that nothing more will come (TLS close_notify), and close the stream below."""
        with self._lock, contextlib.suppress(ssl.SSLError):
            # The answer is not waited for: RFC 8446 §6.1 does not demand it, and the WebSocket's closing is done.
            self._tls.unwrap()
        with self._lock, contextlib.suppress(OSError):
            self._flush()
        await self._stream.close()

    def abort(self) -> None:
        """End the connection at once."""
        self._stream.abort()

    def _shake_hands(self) -> bool:
        with self._lock:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                return False
            finally:
                self._flush()
            return True

    def _take(self, data: bytes) -> bool:
        with self._lock:
            if data:
                self._incoming.write(data)
            else:
                self._incoming.write_eof()
        return bool(data)

    def _decrypt(self) -> bytes | None:
        """What can be decrypted now; None where more bytes are needed, ``b""`` at the end."""
        pieces: list[bytes] = []
        with self._lock:
            if self._error is not None:
                raise self._error
            try:
                while piece := self._tls.read(RECORD_SIZE):
                    pieces.append(piece)
                ended = True
            except ssl.SSLWantReadError:
                ended = False
            except ssl.SSLEOFError:
                # The end without close_notify: the WebSocket's own closing handshake tells whether something is
                # missing.
                ended = True
            except ssl.SSLError as error:
                # What came before the broken record is good; OpenSSL would not tell of it again.
                self._error = error
                ended = False
            with contextlib.suppress(OSError):  # The stream's own end will be read.
                self._flush()
        if pieces:
            return b"".join(pieces)
        if self._error is not None:
            raise self._error
        return b"" if ended else None

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._stream.write(self._outgoing.read())
