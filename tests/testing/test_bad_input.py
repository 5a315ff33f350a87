"""Wrong arguments of the helpers for tests: each is refused at once by an error that names it."""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable
from typing import Any

import pytest

from polysocket import Blocking, InvalidRequest, basic_request, blocking
from polysocket.testing import (
    BackendStub,
    EchoServer,
    Faults,
    Recording,
    RecordingBackend,
    VirtualClock,
    VirtualEffect,
    WebSocketStub,
    inside,
    memory_pair,
    memory_streams,
)
from polysocket.testing.effect_of import effect_of

effect = effect_of(Blocking)
stub = WebSocketStub()
recording = Recording("ws://example.com/")

# No helper takes these values. They are of type Any for the type checkers.
WRONG: dict[str, tuple[Callable[[Any], object], Any, str]] = {
    "memory_pair(flavour)": (memory_pair, [], "[] is not one of Blocking, Threaded"),
    "memory_pair(to_server)": (lambda each: memory_pair(Blocking, to_server=each), 5, "to_server is a Faults, not int"),
    "memory_pair(to_client)": (
        lambda each: memory_pair(Blocking, to_client=each),
        "",
        "to_client is a Faults, not",
    ),
    "memory_pair(clock)": (lambda each: memory_pair(Blocking, clock=each), 0.0, "clock is a VirtualClock, not float"),
    "memory_pair(request)": (lambda each: memory_pair(Blocking, request=each), "ws://a/", "request is a Request, not"),
    "memory_pair(limits)": (lambda each: memory_pair(Blocking, limits=each), {}, "limits is a Request, not dict"),
    "memory_pair(effect)": (lambda each: memory_pair(Blocking, effect=each), "trio", "effect is the effect of a flav"),
    "memory_streams(effect)": (memory_streams, Blocking, "effect is the effect of a flavour, not type"),
    "VirtualEffect(effect)": (lambda each: VirtualEffect(each, VirtualClock()), None, "effect is the effect of a f"),
    "VirtualClock.advance(str)": (lambda each: VirtualClock().advance(each), "1", "seconds is a number, not '1'"),
    "VirtualClock.advance(nan)": (lambda each: VirtualClock().advance(each), float("nan"), "seconds is a number, not"),
    "Faults(cut_after)": (lambda each: Faults(cut_after=each), "5", "cut_after is a whole number or None, not '5'"),
    "Faults(pieces) of an int": (lambda each: Faults(pieces=each), 1, "pieces is a tuple of sizes, not 1"),
    "Faults(pieces) of a str": (lambda each: Faults(pieces=each), ("1",), "pieces is a tuple of sizes, not ('1',)"),
    "Faults(delay)": (lambda each: Faults(delay=each), None, "delay is a number of seconds, not None"),
    "Faults(room)": (lambda each: Faults(room=each), 1.5, "room is a whole number or None, not 1.5"),
    "EchoServer(ssl)": (lambda each: EchoServer(ssl=each), True, "ssl is an ssl.SSLContext, not True"),
    "EchoServer(client's ssl)": (
        lambda each: EchoServer(ssl=each),
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
        "ssl is a context for clients: a server needs ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)",
    ),
    "EchoServer(host)": (lambda each: EchoServer(host=each), b"::1", "host is a str, not bytes"),
    "EchoServer(port) of a str": (
        lambda each: EchoServer(port=each),
        "80",
        "port is a number from 0 to 65535",
    ),
    "EchoServer(port) beyond": (lambda each: EchoServer(port=each), 65536, "port is a number from 0 to 65535, not"),
    "EchoServer(unix_path)": (lambda each: EchoServer(unix_path=each), 5, "unix_path is a path, not int"),
    "EchoServer(limits)": (lambda each: EchoServer(limits=each), "x", "limits is a Request, not str"),
    "with_initial_incoming(int)": (WebSocketStub.with_initial_incoming, [5], "and exceptions, not 5"),
    "with_initial_incoming(class)": (
        WebSocketStub.with_initial_incoming,
        [OSError],
        "and exceptions, not <class",
    ),
    "with_initial_incoming(exits)": (
        WebSocketStub.with_initial_incoming,
        [SystemExit()],
        "and exceptions, not System",
    ),
    "replaying(recording)": (WebSocketStub.replaying, "chat.jsonl", "recording is a Recording, not str"),
    "replaying(redact)": (
        lambda each: WebSocketStub.replaying(recording, redact=each),
        5,
        "redact must be callable, not",
    ),
    "then_respond(function)": (stub.then_respond, ["a"], "function must be callable, not list"),
    "then_respond_with_state(function)": (
        lambda each: stub.then_respond_with_state(0, each),
        None,
        "function must be callable, not NoneType",
    ),
    "build(request)": (lambda each: stub.build(Blocking, request=each), "ws://a/", "request is a Request, not str"),
    "build(effect)": (lambda each: stub.build(Blocking, effect=each), 5, "effect is the effect of a flavour, not int"),
    "BackendStub.of(effect)": (lambda each: BackendStub.of(Blocking, effect=each), 5, "effect is the effect of a fl"),
    "when_request_matches()": (
        BackendStub.blocking().when_request_matches,
        "ws://a/",
        "predicate must be callable",
    ),
    "with_fallback()": (BackendStub.blocking().with_fallback, blocking, "backend is a Backend, not module"),
    "then_respond_web_socket(stub)": (
        lambda each: BackendStub.blocking().when_any_request().then_respond_web_socket(each),
        ["Hello!"],
        "stub is a WebSocketStub, not list",
    ),
    "then_respond_web_socket(headers)": (
        lambda each: BackendStub.blocking().when_any_request().then_respond_web_socket(headers=each),
        ["Server"],
        "headers have names with values",
    ),
    "then_respond_web_socket(subprotocol)": (
        lambda each: BackendStub.blocking().when_any_request().then_respond_web_socket(subprotocol=each),
        ["chat"],
        "subprotocol is a str, not list",
    ),
    "then_handle_open_web_socket()": (
        lambda each: BackendStub.blocking().when_any_request().then_handle_open_web_socket(each),
        stub,
        "function must be callable, not WebSocketStub",
    ),
    "then_reject(status)": (
        lambda each: BackendStub.blocking().when_any_request().then_reject(each),
        "404",
        "'404' is not a status that can reject an upgrade: it must be from 200 to 599",
    ),
    "then_reject(101)": (
        lambda each: BackendStub.blocking().when_any_request().then_reject(each),
        101,
        "101 is not a status that can reject an upgrade: it must be from 200 to 599",
    ),
    "then_reject(body)": (
        lambda each: BackendStub.blocking().when_any_request().then_reject(404, body=each),
        "no such page",
        "body is a bytes, not str",
    ),
    "then_raise(class)": (
        lambda each: BackendStub.blocking().when_any_request().then_raise(each),
        "error",
        "error is an Exception, not str",
    ),
    "then_replay()": (
        lambda each: BackendStub.blocking().when_any_request().then_replay(each),
        {},
        "recording is a Recording, not dict",
    ),
    "RecordingBackend(backend)": (
        RecordingBackend,
        blocking.connect,
        "RecordingBackend() takes a backend to wrap, not",
    ),
    "RecordingBackend(redact)": (
        lambda each: RecordingBackend(blocking.BlockingBackend(), redact=each),
        "secret",
        "redact must be callable, not str",
    ),
    "inside()": (inside, memory_pair, "inside() takes a WebSocket, not function"),
}


@pytest.mark.parametrize(("call", "value", "text"), WRONG.values(), ids=WRONG)
def test_a_wrong_argument_is_refused_at_once(call: Callable[[Any], object], value: Any, text: str) -> None:
    with pytest.raises((TypeError, ValueError), match=re.escape(text)):  # An InvalidRequest is a ValueError.
        call(value)


def test_the_answers_of_a_stub_are_frames_messages_and_exceptions() -> None:
    answers: Any = [None]
    with stub.then_respond(lambda _: answers).build(Blocking) as ws:
        with pytest.raises(TypeError, match="a stub sends frames, messages and exceptions, not None"):
            ws.send_text("What?")
        assert ws.is_open


def test_a_request_and_the_limits_are_refused_as_a_backend_refuses_them() -> None:
    url: Any = "ws://example.com/"
    for refused in ({"request": url}, {"limits": url}):
        with pytest.raises(InvalidRequest):
            memory_pair(Blocking, **refused)
    with pytest.raises(InvalidRequest, match="the request has no URL"):
        memory_pair(Blocking, request=basic_request)
