"""Metrics for Prometheus of the websockets of an observed backend.

Needs the extra ``polysocket[prometheus]``. No label has anything of a request, so the number of time series is bounded.
"""

from __future__ import annotations

import time

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

from polysocket.close_info import CloseInfo
from polysocket.frames import Binary, Close, Frame, Ping, Pong, Text
from polysocket.observers.observation import Observation, payload_size
from polysocket.request import Request
from polysocket.response import Response

__all__ = ["PrometheusObserver"]

KINDS: tuple[type[Frame | Close], ...] = (Text, Binary, Ping, Pong, Close)


class PrometheusObserver:
    """An :class:`~polysocket.Observer` that counts; share one between all backends that have the same registry.

    ====================================================  =====================================================
    ``polysocket_websockets_open``                        websockets that are open now
    ``polysocket_websockets_opened_total``                websockets that were opened
    ``polysocket_websockets_rejected_total{reason}``      websockets that could not be opened, per class of error
    ``polysocket_websockets_closed_total{code}``          websockets that have ended, per received close code
    ``polysocket_opening_seconds``                        a histogram of the time that each opening took
    ``polysocket_frames_total{direction,kind}``           frames ``received`` and ``sent``: ``text``, ``ping``, …
    ``polysocket_payload_bytes_total{direction}``         their payloads, before compression
    ====================================================  =====================================================
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._open = Gauge("polysocket_websockets_open", "Websockets that are open.", registry=registry)
        self._opened = Counter("polysocket_websockets_opened", "Websockets that were opened.", registry=registry)
        self._rejected = Counter(
            "polysocket_websockets_rejected", "Websockets that could not be opened.", ["reason"], registry=registry
        )
        self._closed = Counter("polysocket_websockets_closed", "Websockets that ended.", ["code"], registry=registry)
        self._seconds = Histogram(
            "polysocket_opening_seconds", "Seconds from the request to the open websocket.", registry=registry
        )
        frames = Counter("polysocket_frames", "Frames.", ["direction", "kind"], registry=registry)
        payload = Counter("polysocket_payload_bytes", "Bytes of payload.", ["direction"], registry=registry)
        self._received = _Direction(frames, payload, "received")
        self._sent = _Direction(frames, payload, "sent")

    def opening(self, _request: Request, /) -> Observation:
        """Return an observation that counts."""
        return _Measurement(self)


class _Direction:
    def __init__(self, frames: Counter, payload: Counter, direction: str) -> None:
        self._frames = {kind: frames.labels(direction, kind.__name__.lower()) for kind in KINDS}
        self._payload = payload.labels(direction)

    def count(self, frame: Frame | Close) -> None:
        kind = next(kind for kind in KINDS if isinstance(frame, kind))
        self._frames[kind].inc()
        self._payload.inc(payload_size(frame))


class _Measurement(Observation):
    def __init__(self, metrics: PrometheusObserver) -> None:
        self._metrics = metrics
        self._began = time.perf_counter()

    def opened(self, _response: Response, /) -> None:
        self._metrics._seconds.observe(time.perf_counter() - self._began)
        self._metrics._opened.inc()
        self._metrics._open.inc()

    def rejected(self, error: BaseException, /) -> None:
        self._metrics._rejected.labels(type(error).__name__).inc()

    def received(self, frame: Frame | Close, /) -> None:
        self._metrics._received.count(frame)

    def sent(self, frame: Frame | Close, /) -> None:
        self._metrics._sent.count(frame)

    def closed(self, info: CloseInfo, /) -> None:
        self._metrics._closed.labels(str(info.code)).inc()
        self._metrics._open.dec()
