"""Recordings: a conversation is recorded without its secrets, saved, loaded and replayed."""

from __future__ import annotations

import json
import pathlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from operator import itemgetter
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polysocket import (
    Async,
    Backend,
    Buffer,
    Close,
    CloseCause,
    CloseInfo,
    ConnectFailed,
    ConnectionLost,
    Frame,
    Headers,
    Ping,
    Pong,
    Response,
    Side,
    Text,
    UpgradeRejected,
    WebSocket,
    WebSocketHandler,
    basic_request,
)
from polysocket.testing import (
    BackendStub,
    EchoServer,
    NothingPrepared,
    Recorded,
    Recording,
    RecordingBackend,
    ReplayMismatch,
    WebSocketStub,
)
from polysocket.testing.strategies import closes, data_frames, frames
from tests.backends.flavours import Flavour, seen

SECRETS = ("hunter2", "s3cr3t", "c00kie")

request = (
    basic_request.bearer_auth("hunter2")
    .cookie("session", "c00kie")
    .header("X-Api-Key", "s3cr3t")
    .header("Referer", "https://user:hunter2@example.com/page?token=s3cr3t")
    .header("X-Shown", "yes")
    .compress(None)
)


@asynccontextmanager
async def recorded(flavour: Flavour, backend: Any, **options: Any) -> AsyncIterator[RecordingBackend[Any]]:
    """Make a backend that records, and enter its ``with`` or ``async with``."""
    recording: RecordingBackend[Any] = RecordingBackend(cast("Backend[Any]", backend), **options)
    async with flavour.entered(recording):
        yield recording


async def opened(
    flavour: Flavour, backend: Backend[Any], url: str, handler: WebSocketHandler | None = None
) -> WebSocket[Async]:
    """Open a websocket whose methods are awaited in every flavour."""
    opening: Any = backend.open_websocket(request.get(url), handler or WebSocketHandler())
    websocket: WebSocket[Async] = seen(flavour, (await flavour.value(opening)).result)
    return websocket


async def converse(ws: WebSocket[Async]) -> list[object]:
    """Converse with an echo server; return the received messages."""
    await ws.send_text("Grüße")
    await ws.send_binary(bytes(range(256)))
    received: list[object] = [await ws.receive_text()]
    await ws.ping()
    await ws.send(Text("a", final=False))
    await ws.send(Text("b\u2028"), is_continuation=True)
    received += [await ws.receive_binary(), await ws.receive_message()]
    await ws.send_many(["c", b"d"])
    received += [await ws.receive_text(), *await ws.receive_many()]
    await ws.close()
    return received


def sent_and_received(recording: Recording) -> list[tuple[str, object]]:
    return [(each.sender, each.frame) for each in recording.frames if not isinstance(each.frame, Ping | Pong)]


@pytest.mark.parametrize("buffer", [None, Buffer.unbounded()])
async def test_a_recording_is_saved_loaded_and_replayed(
    flavour: Flavour, tag: type[Any], tmp_path: pathlib.Path, buffer: Buffer | None
) -> None:
    with EchoServer() as server:
        async with recorded(flavour, flavour.backend()) as backend:
            ws = await opened(flavour, backend, f"{server.url}?token=s3cr3t", WebSocketHandler(buffer))
            received = await converse(ws)
        (recording,) = backend.recordings
        path = tmp_path / "conversation.jsonl"
        recording.save(path)
        loaded = Recording.load(path)
        assert loaded == recording
        for secret in SECRETS:
            assert secret not in path.read_text(encoding="utf-8")
        assert loaded.url == server.url.split("?")[0]
        assert loaded.response is not None
        assert loaded.response.status == 101
        assert loaded.request_headers["X-Shown"] == "yes"
        assert list(loaded.request_headers) == ["authorization", "cookie", "x-api-key", "referer", "x-shown"]
        assert [each.seconds for each in loaded.frames] == sorted(each.seconds for each in loaded.frames)
        assert loaded.closed == ws.close_info

    stub = BackendStub.of(tag).when_any_request().then_replay(loaded)
    async with recorded(flavour, stub) as backend:
        ws = await opened(flavour, backend, "ws://replayed/", WebSocketHandler(buffer))
        assert await converse(ws) == received
    (again,) = backend.recordings
    conversations = [sent_and_received(each) for each in (recording, again)]
    for (
        conversation
    ) in conversations:  # Frames that no caller waits for are read at random places between the sent ones.
        conversation.sort(key=itemgetter(0))
    assert conversations[0] == conversations[1]
    assert again.closed == recording.closed


async def test_a_rejection_is_recorded_and_replayed(flavour: Flavour, tag: type[Any]) -> None:
    headers = {"Set-Cookie": "session=c00kie", "Location": "/login?token=s3cr3t", "X-Why": "late"}
    headers |= {"Content-Location": "https://login.example/#token=s3cr3t", "Server": "C#/1"}
    rejecting = BackendStub.of(tag).when_any_request().then_reject(403, headers, b"hunter2")
    async with recorded(flavour, rejecting) as backend:
        with pytest.raises(UpgradeRejected):
            await opened(flavour, backend, "ws://example.com/")
        (recording,) = backend.recordings
    assert recording.response is not None
    assert (recording.response.headers["X-Why"], recording.response.headers["Server"]) == ("late", "C#/1")
    assert recording.failure is not None
    assert "UpgradeRejected" in recording.failure
    assert not any(secret in line for line in recording.lines() for secret in SECRETS)
    with pytest.raises(UpgradeRejected, match="403") as caught:
        await opened(flavour, BackendStub.of(tag).when_any_request().then_replay(recording), "ws://example.com/")
    assert caught.value.response.headers["X-Why"] == "late"
    with pytest.raises(ValueError, match="no websocket was opened"):
        WebSocketStub.replaying(recording)


async def test_an_opening_without_an_answer_is_recorded_and_can_not_be_replayed(
    flavour: Flavour, tag: type[Any]
) -> None:
    failing = BackendStub.of(tag).when_any_request().then_raise(ConnectFailed("no route to host"))
    async with recorded(flavour, failing) as backend:
        with pytest.raises(ConnectFailed):
            await opened(flavour, backend, "ws://example.com/")
    (recording,) = backend.recordings
    assert recording.response is None
    assert recording.failure == "ConnectFailed: no route to host"
    with pytest.raises(ValueError, match="no route to host"):
        BackendStub.of(tag).when_any_request().then_replay(recording)


async def test_frames_are_redacted_with_the_function_of_the_user(flavour: Flavour, tag: type[Any]) -> None:
    def redact(frame: Frame | Close) -> Frame | Close:
        match frame:
            case Text(payload) if payload.startswith("login "):
                return Text("login …")
            case Close(code, _):
                return Close(code)
            case _:
                return frame

    echoing = WebSocketStub().then_respond(lambda frame: [frame, Close(1000, "hunter2")])
    stub = BackendStub.of(tag).when_any_request().then_respond_web_socket(echoing)
    async with recorded(flavour, stub, redact=redact) as backend:
        ws = await opened(flavour, backend, "ws://example.com/")
        await ws.send_text("login hunter2")
        assert await ws.receive_text() == "login hunter2"
        assert await ws.receive() == Close(1000, "hunter2")
    (recording,) = backend.recordings
    assert not any("hunter2" in line for line in recording.lines())

    ws = seen(flavour, WebSocketStub.replaying(recording, redact=redact).build(tag))
    await ws.send_text("login another")
    assert await ws.receive_text() == "login …"


# Replaying


def recording_of(*frames: tuple[str, Frame | Close], closed: CloseInfo | None = None) -> Recording:
    """Make a recording of these frames."""
    recorded = [Recorded(number / 10, cast("Any", sender), frame) for number, (sender, frame) in enumerate(frames)]
    return Recording("ws://example.com/", response=Response(101, Headers()), frames=tuple(recorded), closed=closed)


def replaying(flavour: Flavour, tag: type[Any], recording: Recording) -> WebSocket[Async]:
    websocket: WebSocket[Async] = seen(flavour, WebSocketStub.replaying(recording).build(tag))
    return websocket


LOGIN = recording_of(
    ("server", Text("who are you?")),
    ("client", Text("me")),
    ("server", Text("welcome")),
    ("server", Ping(b"still there?")),
    ("client", Pong(b"still there?")),
    ("client", Ping(b"a")),
    ("server", Pong(b"a")),
    ("server", Text("news")),
    ("client", Text("bye")),
    ("client", Close(1000)),
    ("server", Close(1000, "see you")),
    closed=CloseInfo(Side.LOCAL, CloseCause.CLOSE, Close(1000, "see you"), Close(1000)),
)


async def test_a_frame_of_the_server_follows_the_same_frames_of_the_client(flavour: Flavour, tag: type[Any]) -> None:
    ws = replaying(flavour, tag, LOGIN)
    assert await ws.receive() == Text("who are you?")
    with pytest.raises(NothingPrepared, match=r"goes on with Text\(payload='me', final=True\) from the client"):
        await ws.receive()
    await ws.send_text("me")
    assert [await ws.receive() for _ in range(3)] == [Text("welcome"), Ping(b"still there?"), Text("news")]
    assert await ws.ping(timeout=1000) >= 0
    await ws.send_text("bye")
    await ws.close()
    assert ws.close_info == LOGIN.closed


async def test_a_client_that_sends_something_else_gets_a_replay_mismatch(flavour: Flavour, tag: type[Any]) -> None:
    ws = replaying(flavour, tag, LOGIN)
    with pytest.raises(ReplayMismatch) as caught:
        await ws.send_text("something else")
    text = str(caught.value)
    assert "goes on with Text(payload='me', final=True) from the client (2 of 8)" in text
    assert "but Text(payload='something else', final=True) was sent" in text
    await ws.close(1011)  # This Close does not hide the failure with another one.
    assert not ws.is_open


async def test_a_client_that_sends_more_than_was_recorded_gets_a_replay_mismatch(
    flavour: Flavour, tag: type[Any]
) -> None:
    ws = replaying(flavour, tag, recording_of(("server", Text("all"))))
    assert await ws.receive_text() == "all"
    with pytest.raises(NothingPrepared, match="the recording has ended"):
        await ws.receive()
    with pytest.raises(ReplayMismatch, match="the recording has ended"):
        await ws.send_text("more")


async def test_a_client_that_closes_too_early_gets_a_replay_mismatch(flavour: Flavour, tag: type[Any]) -> None:
    ws = replaying(flavour, tag, LOGIN)
    with pytest.raises(ReplayMismatch, match=r"but Close\(.*1000.*\) was sent"):
        await ws.close()
    await ws.close()


async def test_a_client_that_has_failed_may_close_early(flavour: Flavour, tag: type[Any]) -> None:
    ws = replaying(flavour, tag, LOGIN)
    await ws.close(1011)
    assert ws.close_info is not None
    assert ws.close_info.received == Close(1011)


async def test_a_close_after_the_end_of_the_recording_is_answered(flavour: Flavour, tag: type[Any]) -> None:
    ws = replaying(flavour, tag, recording_of(("server", Text("all"))))
    await ws.close()
    assert ws.close_info is not None
    assert ws.close_info.is_normal


async def test_a_lost_connection_is_lost_again(flavour: Flavour, tag: type[Any]) -> None:
    stub = WebSocketStub.with_initial_incoming([Text("a"), ConnectionResetError("reset by peer")])
    rule = BackendStub.of(tag).when_any_request().then_respond_web_socket(stub)
    async with recorded(flavour, rule) as backend:
        lost = await opened(flavour, backend, "ws://example.com/")
        assert await lost.receive_text() == "a"
        with pytest.raises(ConnectionLost):
            await lost.receive_text()
        await lost.close()
    (recording,) = backend.recordings
    assert recording.closed is not None
    ws = replaying(flavour, tag, recording)
    assert await ws.receive_text() == "a"
    with pytest.raises(ConnectionLost, match="reset by peer"):
        await ws.receive_text()
    assert ws.close_info == recording.closed


async def test_frames_and_the_close_after_the_close_of_the_client_are_replayed(
    flavour: Flavour, tag: type[Any]
) -> None:
    recording = recording_of(
        ("client", Close(4000)), ("server", Text("late")), ("server", Close(4001, "and another code"))
    )
    ws = replaying(flavour, tag, recording)
    await ws.send(Close(4000))
    assert [await ws.receive(), await ws.receive()] == [Text("late"), Close(4001, "and another code")]


async def test_a_close_of_the_server_is_replayed(flavour: Flavour, tag: type[Any]) -> None:
    ws = replaying(flavour, tag, recording_of(("server", Close(1001, "restart")), ("client", Close(1001))))
    assert await ws.receive() == Close(1001, "restart")
    await ws.close()
    assert ws.close_info is not None
    assert ws.close_info.initiator is Side.REMOTE


# Lines

close_infos = st.builds(
    CloseInfo, st.sampled_from(Side), st.sampled_from(CloseCause), st.none() | closes(), st.none() | closes(), st.text()
)
headers = st.lists(st.tuples(st.text(), st.text())).map(Headers)
responses = st.builds(
    Response, st.integers(100, 599), headers, st.text(), st.none() | st.text(), st.lists(st.text()).map(tuple)
)
fragments = data_frames().map(lambda frame: type(frame)(frame.payload, final=False))  # type: ignore[arg-type]
events = st.builds(
    Recorded,
    st.floats(0, 1e6),
    st.sampled_from(["client", "server"]),
    frames() | closes() | fragments,
)
recordings = st.builds(
    Recording,
    st.text(),
    headers,
    st.none() | responses,
    st.none() | st.text(),
    st.lists(events).map(tuple),
    st.none() | close_infos,
)


@given(recordings)
def test_a_recording_equals_the_one_read_from_its_lines(recording: Recording) -> None:
    lines = list(recording.lines())
    assert Recording.from_lines(lines) == recording
    for line in lines:
        assert "\n" not in line
        json.loads(line)


FIRST = next(recording_of().lines())


@pytest.mark.parametrize(
    ("lines", "number"),
    [
        ([""], 1),
        (["no JSON"], 1),
        (["[]"], 1),
        ([FIRST.replace('"polysocket": 1', '"polysocket": 2')], 1),
        ([FIRST, '{"seconds": 0.1, "client": {"shout": "a"}}'], 2),
        ([FIRST, '{"seconds": 0.1, "server": {"binary": "no base64!"}}'], 2),
        ([FIRST, '{"seconds": "soon", "server": {"text": "a"}}'], 2),
        ([FIRST, '{"client": {"text": "a"}}'], 2),
        ([FIRST, '{"closed": {"initiator": "unknown"}}'], 2),
    ],
)
def test_an_invalid_recording_is_refused_and_its_line_named(
    tmp_path: pathlib.Path, lines: list[str], number: int
) -> None:
    path = tmp_path / "conversation.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(ValueError, match=f"line {number} is not a line of a recording"):
        Recording.load(path)


def test_a_recording_without_lines_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one line"):
        Recording.from_lines([])


def test_the_time_to_read_a_recording_is_linear_in_its_frames() -> None:
    def seconds(count: int) -> float:
        frames = (Recorded(0, "client", Text("a")),) * count
        lines = list(Recording("ws://localhost/", frames=frames).lines())
        began = time.process_time()
        assert Recording.from_lines(lines).frames == frames
        return time.process_time() - began

    assert seconds(60_000) < 30 * seconds(6_000), "not 100 times as long"
