"""OpenTelemetry tracing of the websockets of an observed backend.

Needs the extra ``polysocket[opentelemetry]``. Attributes have their names from OpenTelemetry's semantic conventions if
those have one. No attribute has credentials, headers, a query string or a payload.
"""

from __future__ import annotations

from opentelemetry.trace import Span, SpanKind, Status, StatusCode, TracerProvider, get_tracer
from opentelemetry.util.types import AttributeValue

from polysocket.close_info import CloseInfo
from polysocket.errors import UpgradeRejected
from polysocket.frames import Close, Frame
from polysocket.observers.observation import Observation, payload_size
from polysocket.request import Request
from polysocket.response import Response

__all__ = ["OpenTelemetryObserver"]


class OpenTelemetryObserver:
    """An :class:`~polysocket.Observer` that makes a span for each websocket, from its request to its end.

    The span's parent is the caller's current span. The span has an event ``opened``, and at the end the counts of
    frames and of bytes of payload. Its status is an error if the websocket was rejected or ended abnormally.
    """

    def __init__(self, tracer_provider: TracerProvider | None = None) -> None:
        self._tracer = get_tracer("polysocket", tracer_provider=tracer_provider)

    def opening(self, request: Request, /) -> Observation:
        """Start a span."""
        attributes: dict[str, AttributeValue] = {
            "network.protocol.name": "websocket",
            "http.request.method": request.method,
        }
        if request.url is not None:
            attributes["url.full"] = str(request.url)
            attributes["url.scheme"] = request.url.scheme
            attributes["server.address"] = request.url.host
            attributes["server.port"] = request.url.port
        return _Traced(self._tracer.start_span("websocket", kind=SpanKind.CLIENT, attributes=attributes))


class _Traced(Observation):
    def __init__(self, span: Span) -> None:
        self._span = span
        self._counts = {
            "polysocket.frames.received": 0,
            "polysocket.frames.sent": 0,
            "polysocket.payload_bytes.received": 0,
            "polysocket.payload_bytes.sent": 0,
        }

    def opened(self, response: Response, /) -> None:
        self._span.set_attribute("http.response.status_code", response.status)
        if response.subprotocol is not None:
            self._span.set_attribute("polysocket.subprotocol", response.subprotocol)
        self._span.add_event("opened")

    def rejected(self, error: BaseException, /) -> None:
        kind = type(error).__name__
        if isinstance(error, UpgradeRejected):
            kind = str(error.response.status)
            self._span.set_attribute("http.response.status_code", error.response.status)
        self._fail(kind, str(error))
        self._span.end()

    def received(self, frame: Frame | Close, /) -> None:
        self._counts["polysocket.frames.received"] += 1
        self._counts["polysocket.payload_bytes.received"] += payload_size(frame)

    def sent(self, frame: Frame | Close, /) -> None:
        self._counts["polysocket.frames.sent"] += 1
        self._counts["polysocket.payload_bytes.sent"] += payload_size(frame)

    def closed(self, info: CloseInfo, /) -> None:
        self._span.set_attributes({**self._counts, "polysocket.close.code": info.code})
        if not info.is_normal:
            self._fail(str(info.code), str(info))
        self._span.end()

    def _fail(self, kind: str, description: str) -> None:
        self._span.set_attribute("error.type", kind)
        self._span.set_status(Status(StatusCode.ERROR, description))
