"""Send many whole messages in few writes, and say how many were sent if that is interrupted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from functools import partial

from polysocket._core.batch import Batch, batches, whole_messages
from polysocket._session.session import Session
from polysocket.errors import SendTimeout, WebSocketClosed, WebSocketError
from polysocket.frames import DataFrame
from polysocket.request import check_timeout

__all__ = ["send_many"]


async def send_many(session: Session, messages: Iterable[str | bytes], compress: bool, timeout: float | None) -> None:
    """Send the messages, each in one frame; none of them if one may not be sent."""
    check_timeout(timeout)
    sending = _Sending(session, whole_messages(messages), compress)
    try:
        await sending.send_all(timeout)
    except SendTimeout as error:
        raise sending.timeout(timeout, error.is_pending) from None
    except WebSocketClosed as error:
        error.messages_sent = sending.sent
        raise
    except WebSocketError:
        raise
    except BaseException as error:
        error.add_note(f"send_many() has sent {sending.progress}")
        raise


class _Sending:
    """Messages that are being sent; ``sent`` is the number of those that the stream has taken."""

    def __init__(self, session: Session, messages: list[DataFrame], compress: bool) -> None:
        self.sent = 0
        self._session = session
        self._messages = messages
        self._compress = compress

    async def send_all(self, timeout: float | None) -> None:
        session, effect = self._session, self._session._effect
        if not self._messages:
            session.check_event_loop()
            if not session.is_open:
                raise session.error()
            if effect.checkpoint is not None:
                await effect.checkpoint()
        began = 0.0
        if timeout is not None:
            session.check_event_loop()  # trio's clock is out of reach elsewhere
            began = effect.now()
        for batch in batches(self._messages):
            if self.sent:
                await effect.next_turn()  # A network that takes everything at once must not hold up an event loop.
            if timeout is not None:
                seconds = began + timeout - effect.now()
                if seconds <= 0 and self.sent:  # Nor must such a network defeat the time limit.
                    raise self.timeout(timeout, is_pending=False)
                await session._sender.send_within(max(seconds, 0), partial(self._begin_to_send, batch))
            elif (rest := self._begin_to_send(batch)) is not None:
                await rest

    def _begin_to_send(self, batch: Batch, on_taken: Callable[[], object] | None = None) -> Awaitable[object] | None:
        def note() -> None:
            self.sent += len(batch.messages)
            if on_taken is not None:
                on_taken()

        return self._session.send_frame(batch, False, self._compress, note)

    @property
    def progress(self) -> str:
        return f"{self.sent} of {len(self._messages)} messages"

    def timeout(self, seconds: float | None, is_pending: bool) -> SendTimeout:
        rest = "; the network takes the rest of these later" if is_pending else ""
        text = f"{self.progress} were sent within {seconds} seconds{rest}"
        return SendTimeout(text, seconds, is_pending, self.sent)
