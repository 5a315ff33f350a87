from pathlib import Path

import pytest

from polysocket import Backend, Blocking, WebSocketHandler, basic_request
from polysocket.blocking import BlockingBackend
from polysocket.testing import BackendStub, EchoServer, Recording, RecordingBackend, ReplayMismatch


def greet(backend: Backend[Blocking], url: str, name: str) -> str:
    ws = backend.open_websocket(url, WebSocketHandler()).result
    ws.send_text(name)
    answer = ws.receive_text()
    ws.close()
    return answer


def record(path: Path) -> None:
    ours = BlockingBackend(request=basic_request.bearer_auth("my-token"))
    recording = RecordingBackend(ours)
    with EchoServer() as server, recording:
        greet(recording, server.url, "Ada")
    recording.recordings[0].save(path)


def test_a_recording_is_replayed(tmp_path: Path) -> None:
    path = tmp_path / "greeting.jsonl"
    record(path)
    assert "my-token" not in path.read_text(encoding="utf-8")

    stub = BackendStub.blocking().when_any_request().then_replay(Recording.load(path))
    assert greet(stub, "wss://echo.example.com/", "Ada") == "Ada"
    with pytest.raises(ReplayMismatch, match="Grace"):
        greet(stub, "wss://echo.example.com/", "Grace")
