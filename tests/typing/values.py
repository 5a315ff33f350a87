"""Right use of frames, requests and errors, for mypy and pyright to check; it never runs."""

from __future__ import annotations

from typing import assert_never, assert_type

from polysocket import (
    Binary,
    Blocking,
    Close,
    CloseCause,
    CloseInfo,
    ConnectFailed,
    DataFrame,
    Deflate,
    Frame,
    Headers,
    MessageTooBig,
    OpenTimeout,
    Ping,
    Pong,
    ProxyRejected,
    ReceiveTimeout,
    Request,
    Response,
    Side,
    Text,
    UnexpectedFrame,
    UpgradeRejected,
    WebSocket,
    WebSocketClosed,
    WebSocketURL,
    basic_request,
)


def every_frame(frame: Frame | Close) -> str | bytes | int:
    match frame:
        case Text(payload, final=False):
            assert_type(payload, str)
            return payload
        case Text(payload) | Binary(payload):
            assert_type(payload, str | bytes)
            return payload
        case Ping(payload) | Pong(payload):
            assert_type(payload, bytes)
            return payload
        case Close(code, reason):
            assert_type(reason, str)
            return code
    assert_never(frame)


def both_kinds_of_data(frame: DataFrame) -> str | bytes:
    match frame:
        case Text():
            return frame.payload
        case Binary():
            return frame.payload
    assert_never(frame)


def requests() -> None:
    request = (
        basic_request.get("wss://localhost/chat?a=b")
        .header("X-Word", "one")
        .header("X-Word", "two", replace_existing=True)
        .with_headers({"X-A": "1"})
        .with_headers([("X-A", "2"), ("X-A", "3")])
        .subprotocol("chat", "superchat")
        .origin("https://localhost")
        .basic_auth("me", "secret")
        .bearer_auth("token")
        .cookie("session", "1")
        .compress(Deflate(client_max_window_bits=12, server_no_context_takeover=True))
        .compress(None)
        .follow_redirects(0)
        .timeouts(open=1)
        .timeouts(close=None)
        .timeouts(open=None, close=0.5)
    )
    assert_type(request, Request)
    assert_type(request.url, WebSocketURL | None)
    assert_type(request.headers, Headers)
    assert_type(request.subprotocols, tuple[str, ...])
    assert_type(request.compression, Deflate | None)
    assert_type(request.open_timeout, float | None)
    assert_type(request.max_message_size, int | None)


def errors(ws: WebSocket[Blocking]) -> None:
    try:
        ws.receive()
    except MessageTooBig as error:
        assert_type(error.limit, int)
    except WebSocketClosed as error:
        assert_type(error.close, Close | None)
        assert_type(error.close_info, CloseInfo)
        assert_type(error.close_info.initiator, Side)
        assert_type(error.close_info.cause, CloseCause)
        assert_type(error.close_info.received, Close | None)
    except UpgradeRejected as error:
        assert_type(error.response, Response)
    except ProxyRejected as error:
        assert_type(error.response, Response | None)


def data_of_errors(failed: ConnectFailed, late: OpenTimeout, slow: ReceiveTimeout, unexpected: UnexpectedFrame) -> None:
    assert_type(failed.errno, int | None)
    assert_type(failed.causes, tuple[OSError, ...])
    assert_type(late.timeout, float | None)
    assert_type(late.step, str)
    assert_type(slow.timeout, float | None)
    assert_type(slow.awaited, str)
    assert_type(unexpected.frame, Text | Binary | None)
    assert_type(unexpected.expected, type[Text | Binary] | None)
