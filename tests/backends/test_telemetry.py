"""The observers for OpenTelemetry and Prometheus, in every flavour."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from prometheus_client import REGISTRY, CollectorRegistry

from polysocket import (
    Binary,
    Close,
    ConnectFailed,
    InvalidRequest,
    ObservedBackend,
    Observer,
    Ping,
    Text,
    UpgradeRejected,
    WebSocketClosed,
    WebSocketHandler,
    basic_request,
)
from polysocket.observers.opentelemetry import OpenTelemetryObserver
from polysocket.observers.prometheus import PrometheusObserver
from polysocket.testing.contract import wire
from polysocket.testing.contract.places import Peer, answering, upgrading
from tests.backends.flavours import Flavour, opened, seen


async def converse(flavour: Flavour, observer: Observer, peer: Peer) -> None:
    """Send é, receive a Ping, three bytes and a Close with 1001."""
    backend = ObservedBackend(flavour.backend(), observer)
    request = basic_request.get(peer.url.replace("//", "//alice:hunter2@") + "?query").cookie("session", "crumb")
    async with flavour.entered(backend):
        ws = await opened(flavour, seen(flavour, backend), request.subprotocol("chat"))
        await ws.send_text("é")
        peer.send(wire.encode(wire.PING, b"1") + wire.encode(wire.BINARY, b"abc"))
        assert [await ws.receive(), await ws.receive()] == [Ping(b"1"), Binary(b"abc")]
        peer.send(wire.close(1001, "bye"))
        assert await ws.receive() == Close(1001, "bye")
        peer.hang_up()


async def be_rejected(flavour: Flavour, observer: Observer, peer: Peer) -> None:
    backend = ObservedBackend(flavour.backend(), observer)
    async with flavour.entered(backend):
        with pytest.raises(UpgradeRejected):
            await seen(flavour, backend).open_websocket(peer.url, WebSocketHandler())


async def lose_the_connection(flavour: Flavour, observer: Observer, peer: Peer) -> None:
    backend = ObservedBackend(flavour.backend(), observer)
    async with flavour.entered(backend):
        ws = await opened(flavour, seen(flavour, backend), peer.url)
        peer.send(wire.encode(wire.TEXT, "a"))
        assert await ws.receive() == Text("a")
        peer.hang_up()
        with pytest.raises(WebSocketClosed):
            await ws.receive()


async def fail_to_connect(flavour: Flavour, observer: Observer) -> None:
    backend = ObservedBackend(flavour.backend(), observer)
    async with flavour.entered(backend):
        with pytest.raises(ConnectFailed):
            await seen(flavour, backend).open_websocket("ws://127.0.0.1:1/", WebSocketHandler())


@pytest.fixture
def chat(new_peer: Callable[..., Peer]) -> Peer:
    return new_peer(upgrading("Sec-WebSocket-Protocol: chat"))


# OpenTelemetry


class Spans:
    """A tracer provider that records the ended spans."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.observer = OpenTelemetryObserver(self.provider)

    @property
    def ended(self) -> tuple[ReadableSpan, ...]:
        return self._exporter.get_finished_spans()

    def only(self) -> tuple[ReadableSpan, Mapping[str, Any]]:
        (span,) = self.ended
        assert span.attributes is not None
        return span, dict(span.attributes)


@pytest.fixture
def spans() -> Spans:
    return Spans()


async def test_a_span_describes_a_websocket_from_its_request_to_its_end(
    flavour: Flavour, spans: Spans, chat: Peer
) -> None:
    await converse(flavour, spans.observer, chat)
    span, attributes = spans.only()
    port = int(chat.url.rpartition(":")[2].strip("/"))
    assert (span.name, span.kind) == ("websocket", SpanKind.CLIENT)
    assert attributes == {
        "network.protocol.name": "websocket",
        "http.request.method": "GET",
        "http.response.status_code": 101,
        "url.full": chat.url,
        "url.scheme": "ws",
        "server.address": "localhost",
        "server.port": port,
        "polysocket.subprotocol": "chat",
        "polysocket.frames.received": 3,
        "polysocket.frames.sent": 3,
        "polysocket.payload_bytes.received": 1 + 3 + 5,
        "polysocket.payload_bytes.sent": 2 + 1 + 2,
        "polysocket.close.code": 1001,
    }
    assert [event.name for event in span.events] == ["opened"]
    assert span.status.status_code is StatusCode.UNSET
    assert span.end_time is not None
    told = str(span.to_json())
    assert not any(secret in told for secret in ("alice", "hunter2", "query", "crumb"))


async def test_the_parent_of_a_span_is_the_callers_span(flavour: Flavour, spans: Spans, chat: Peer) -> None:
    with spans.provider.get_tracer("test").start_as_current_span("mine") as mine:
        await converse(flavour, spans.observer, chat)
    child, _ = spans.ended
    assert child.parent is not None
    assert child.parent.span_id == mine.get_span_context().span_id


async def test_the_span_of_a_rejected_websocket_is_an_error(
    flavour: Flavour, spans: Spans, new_peer: Callable[..., Peer]
) -> None:
    await be_rejected(flavour, spans.observer, new_peer(answering("404 Not Found")))
    span, attributes = spans.only()
    assert attributes["http.response.status_code"] == 404
    assert attributes["error.type"] == "404"
    assert "polysocket.close.code" not in attributes
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description == "the server did not upgrade: it answered 404 Not Found"
    assert span.events == ()


async def test_the_span_of_a_websocket_that_could_not_connect_is_an_error(
    flavour: Flavour, spans: Spans, leave_nothing: None
) -> None:
    await fail_to_connect(flavour, spans.observer)
    span, attributes = spans.only()
    assert attributes["error.type"] == "ConnectFailed"
    assert span.status.status_code is StatusCode.ERROR


async def test_the_span_of_a_lost_connection_is_an_error(flavour: Flavour, spans: Spans, peer: Peer) -> None:
    await lose_the_connection(flavour, spans.observer, peer)
    span, attributes = spans.only()
    assert attributes["error.type"] == "1006"
    assert attributes["polysocket.close.code"] == 1006
    assert attributes["polysocket.frames.received"] == 1
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description is not None
    assert span.status.description.startswith("closed by the peer because of the network")


async def test_a_request_without_a_url_has_a_span_too(flavour: Flavour, spans: Spans) -> None:
    backend = ObservedBackend(flavour.backend(), spans.observer)
    async with flavour.entered(backend):
        with pytest.raises(InvalidRequest):
            await seen(flavour, backend).open_websocket(basic_request, WebSocketHandler())
    _, attributes = spans.only()
    assert attributes["error.type"] == "InvalidRequest"
    assert "url.full" not in attributes


def test_spans_go_to_the_global_provider_by_default(spans: Spans, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("opentelemetry.trace.get_tracer_provider", lambda: spans.provider)
    OpenTelemetryObserver().opening(basic_request).rejected(ZeroDivisionError())
    span, attributes = spans.only()
    assert span.name == "websocket"
    assert attributes["error.type"] == "ZeroDivisionError"


# Prometheus


class Metrics:
    """A registry, and its values by name and labels."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.observer = PrometheusObserver(self._registry)

    def __getitem__(self, name: str) -> float | None:
        metric, _, labels = name.partition("{")
        pairs = [(label.split("=")[0], label.split("=")[1]) for label in labels.strip("}").split(",") if label]
        return self._registry.get_sample_value(f"polysocket_{metric}", dict(pairs))


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


async def test_metrics_count_openings_frames_bytes_and_closings(flavour: Flavour, metrics: Metrics, chat: Peer) -> None:
    await converse(flavour, metrics.observer, chat)
    assert metrics["websockets_opened_total"] == 1
    assert metrics["opening_seconds_count"] == 1
    assert metrics["websockets_open"] == 0
    assert metrics["websockets_closed_total{code=1001}"] == 1
    received = {kind: metrics[f"frames_total{{direction=received,kind={kind}}}"] for kind in KINDS}
    assert received == {"text": 0, "binary": 1, "ping": 1, "pong": 0, "close": 1}
    sent = {kind: metrics[f"frames_total{{direction=sent,kind={kind}}}"] for kind in KINDS}
    assert sent == {"text": 1, "binary": 0, "ping": 0, "pong": 1, "close": 1}
    assert metrics["payload_bytes_total{direction=received}"] == 1 + 3 + 5
    assert metrics["payload_bytes_total{direction=sent}"] == 2 + 1 + 2


KINDS = ("text", "binary", "ping", "pong", "close")


async def test_a_gauge_counts_the_open_websockets(
    flavour: Flavour, metrics: Metrics, new_peer: Callable[..., Peer]
) -> None:
    backend = ObservedBackend(flavour.backend(), metrics.observer)
    request = basic_request.timeouts(open=5, close=0.05)
    async with flavour.entered(backend):
        ws = await opened(flavour, seen(flavour, backend), request.get(new_peer().url))
        assert metrics["websockets_open"] == 1
        await opened(flavour, seen(flavour, backend), request.get(new_peer().url))
        assert metrics["websockets_open"] == 2
        await ws.close()
        assert metrics["websockets_open"] == 1
    assert metrics["websockets_open"] == 0
    assert metrics["websockets_closed_total{code=1006}"] == 2


async def test_metrics_count_rejections_by_reason(
    flavour: Flavour, metrics: Metrics, new_peer: Callable[..., Peer]
) -> None:
    await be_rejected(flavour, metrics.observer, new_peer(answering("404 Not Found")))
    await fail_to_connect(flavour, metrics.observer)
    assert metrics["websockets_rejected_total{reason=UpgradeRejected}"] == 1
    assert metrics["websockets_rejected_total{reason=ConnectFailed}"] == 1
    assert metrics["websockets_opened_total"] == 0
    assert metrics["websockets_open"] == 0


async def test_metrics_count_abnormal_ends_by_code(flavour: Flavour, metrics: Metrics, peer: Peer) -> None:
    await lose_the_connection(flavour, metrics.observer, peer)
    assert metrics["websockets_closed_total{code=1006}"] == 1


async def test_many_backends_may_share_an_observer(
    flavour: Flavour, metrics: Metrics, new_peer: Callable[..., Peer]
) -> None:
    for _ in range(2):
        await converse(flavour, metrics.observer, new_peer(upgrading("Sec-WebSocket-Protocol: chat")))
    assert metrics["websockets_opened_total"] == 2


def test_metrics_of_another_registry_are_not_in_the_global_registry(metrics: Metrics) -> None:
    assert REGISTRY.get_sample_value("polysocket_websockets_open") is None


def test_neither_library_is_imported_with_polysocket() -> None:
    program = "import polysocket, sys; assert not {'opentelemetry', 'prometheus_client'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)
