"""TLS over any stream, written once for all flavours: OpenSSL between two memory buffers.

The stream's mutex guards OpenSSL's object, which is not safe for one thread that sends while another receives; it is
never held while something waits. Nothing here knows WebSockets.
"""

from __future__ import annotations

import contextlib
import copy
import os
import ssl
import threading
from collections.abc import Awaitable, Callable

from polysocket.effects import ByteStream, DelegatingStream, Effect
from polysocket.effects.kept_errors import without_tracebacks
from polysocket.effects.no_thread import no_thread
from polysocket.tls_info import TLSInfo

__all__ = ["NotTLS", "TLSStream", "default_context"]


RECORD_SIZE = 16 * 1024  # RFC 8446 §5.1: OpenSSL returns at most one record at a time


# Bytes that are encrypted at once. OpenSSL keeps the memory of the largest write as long as the connection lasts.
WRITE_SIZE = 8 * RECORD_SIZE

RECORD_TYPES = range(20, 25)  # RFC 8446 §5.1: the first byte of each record

MAX_SHOWN = 40  # bytes of an answer without TLS, shown in an error: a banner, or the status line of HTTP

_default_context: ssl.SSLContext | None = None
_loading = threading.RLock()  # A signal handler may connect while its own thread loads.


async def default_context(effect: Effect) -> ssl.SSLContext:
    """Return the default context for ``wss``: the system's certificate authorities, host names checked.

    All websockets share one. Loading takes about 20 ms, in which an event loop must not stand still. Raises OSError if
    the system has no more threads.
    """
    if _default_context is not None:
        return _default_context
    try:
        return await effect.run_blocking(_load_default_context)
    except RuntimeError as error:
        raise no_thread("to load the default TLS settings", error) from error


def _load_default_context() -> ssl.SSLContext:
    global _default_context  # noqa: PLW0603 - one for the process
    with _loading:
        if _default_context is None:
            context = ssl.create_default_context()
            context.set_alpn_protocols(["http/1.1"])
            _default_context = context
        return _default_context


def _renew_lock() -> None:
    """Forget the lock of the parent process, which a thread that is not in this one may have held."""
    global _loading  # noqa: PLW0603 - one for the process
    _loading = threading.RLock()


if hasattr(os, "register_at_fork"):  # not in Windows
    os.register_at_fork(after_in_child=_renew_lock)


class NotTLS(ssl.SSLError):
    """A server's first bytes are no TLS: an error at once, whatever OpenSSL would wait for."""

    def __init__(self, beginning: bytes) -> None:
        line = beginning.splitlines()[0][:MAX_SHOWN] if beginning.strip() else beginning[:MAX_SHOWN]
        super().__init__(ssl.SSL_ERROR_SSL, f"the answer is not TLS: it begins with {line!r}")
        self.beginning: bytes = beginning

    def __reduce__(self) -> tuple[type[NotTLS], tuple[bytes]]:
        return NotTLS, (self.beginning,)


class TLSStream(DelegatingStream):
    """A :class:`~polysocket.effects.ByteStream` that encrypts another; made by :meth:`start`."""

    tls: TLSInfo
    """The outcome of the TLS handshake, taken at its end: after an error OpenSSL tells no more of it."""

    def __init__(
        self,
        inner: ByteStream,
        context: ssl.SSLContext,
        effect: Effect,
        server_hostname: str | None,
        server_side: bool,
    ) -> None:
        super().__init__(inner)
        self._read_inner: Callable[[], Awaitable[bytes | memoryview]] = getattr(inner, "read_view", inner.read)
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side, server_hostname)
        self._mutex = self.mutex or effect.mutex()
        self._error: ssl.SSLError | None = None
        self._needs_bytes = False  # before OpenSSL can decrypt more

    @classmethod
    async def start(
        cls,
        inner: ByteStream,
        context: ssl.SSLContext,
        effect: Effect,
        *,
        server_hostname: str | None = None,
        server_side: bool = False,
    ) -> TLSStream:
        """Do the TLS handshake over a stream of the effect.

        Raises ``ssl.SSLError`` (an OSError), and then leaves the given stream to the caller.
        """
        self = cls(inner, context, effect, server_hostname, server_side)
        is_first = not server_side  # A server leaves it to OpenSSL, which sends an alert.
        while not self._shake_hands():
            await inner.drain()
            data = await inner.read()
            if is_first and data and data[0] not in RECORD_TYPES:
                raise NotTLS(data[:MAX_SHOWN])
            is_first = False
            self._take(data)
            if not data:
                raise ssl.SSLEOFError(ssl.SSL_ERROR_EOF, "the connection ended during the TLS handshake")
        await inner.drain()
        cipher = self._tls.cipher()
        self.tls = TLSInfo(self._tls.version() or "", cipher[0] if cipher else "", self._tls.getpeercert(True))
        return self

    async def read(self) -> bytes:
        """Return decrypted bytes, or ``b""`` at EOF, with or without TLS's own closing (close_notify)."""
        data = None if self._needs_bytes else self._decrypt()
        while data is None:
            self._take(await self._read_inner())
            data = self._decrypt()
        return data

    def read_now(self) -> bytes | None:
        """Return decrypted bytes that are there, ``b""`` at EOF, or None.

        It reads once: a flood of records without data, such as session tickets, must not hold up an event loop.
        """
        data = None if self._needs_bytes else self._decrypt()
        if data is None and (received := self.inner.read_now()) is not None:
            self._take(received)
            data = self._decrypt()
        return data

    def write(self, data: bytes) -> None:
        """Encrypt all of ``data`` and hand it to the inner stream."""
        with self._mutex:
            rest = memoryview(data)
            while rest:
                rest = rest[self._tls.write(rest[:WRITE_SIZE]) :]
                self.inner.write(self._outgoing.read())

    async def close(self) -> None:
        """Send TLS's close_notify, and close the inner stream."""
        with self._mutex, contextlib.suppress(ssl.SSLError):
            # The peer's close_notify is not waited for: RFC 8446 §6.1 does not demand it, and the WebSocket's own
            # closing handshake is done.
            self._tls.unwrap()
        with self._mutex, contextlib.suppress(OSError):
            self._flush()
        await self.inner.close()

    def _shake_hands(self) -> bool:
        with self._mutex:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                return False
            finally:
                self._flush()
            return True

    def _take(self, data: bytes | memoryview) -> None:
        with self._mutex:
            if data:
                self._incoming.write(data)
            else:
                self._incoming.write_eof()

    def _decrypt(self) -> bytes | None:
        """Return what can be decrypted now: None if more bytes are needed, ``b""`` at EOF."""
        pieces: list[bytes] = []
        with self._mutex:
            if self._error is not None:
                raise copy.copy(self._error)
            try:
                while piece := self._tls.read(RECORD_SIZE):
                    pieces.append(piece)
                    if not (self._incoming.pending or self._tls.pending()):
                        break  # Another read would raise an error, which takes as long as the decryption.
            except ssl.SSLWantReadError:
                self._needs_bytes = True
            except ssl.SSLEOFError:
                # EOF without close_notify: the WebSocket's own closing handshake tells whether something is missing.
                self._needs_bytes = False
            except ssl.SSLError as error:
                # What came before the broken record is good, and OpenSSL reports the error only once.
                self._error = without_tracebacks(error)
                self._needs_bytes = False
            else:
                self._needs_bytes = bool(piece)
            if self._outgoing.pending:
                with contextlib.suppress(OSError):  # The next read meets the end of the stream.
                    self._flush()
        if pieces:
            return b"".join(pieces)
        if self._error is not None:
            raise copy.copy(self._error)  # An error that is raised gets a traceback, with this object.
        return None if self._needs_bytes else b""

    def _flush(self) -> None:
        if self._outgoing.pending:
            self.inner.write(self._outgoing.read())
