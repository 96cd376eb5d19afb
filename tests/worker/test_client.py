"""The client before a worker that the test plays."""

import os
import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from nic_energy.errors import DeviceError
from nic_energy.worker import client
from nic_energy.worker.registry import address_of
from nic_energy.worker.wire import connected, receive, send


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A short path: that of a Unix socket has at most 107 characters."""
    made = Path(f"/tmp/nic-{os.getpid()}-{os.urandom(3).hex()}")
    made.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(made))
    monkeypatch.chdir(made)
    yield made
    shutil.rmtree(made)


class Played:
    """Closes so many connections unanswered, then hands out an attempt."""

    def __init__(self, folder: Path, closes: int) -> None:
        self.attempt = folder / "attempt"
        self.attempt.write_text("a trace")
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(str(address_of("code", "", "", folder).socket))
        self.socket.listen()
        self.closes, self.requests = closes, 0
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self) -> None:
        while True:
            accepted, _ = self.socket.accept()
            if self.closes:
                self.closes -= 1
                accepted.close()
                continue
            with connected(accepted) as connection:
                assert receive(connection, 10)["request"] == "measure"
                self.requests += 1
                send(connection, {"kind": "hello", "pid": 0})
                done = {"kind": "done", "attempt": str(self.attempt), "text": "1 J"}
                send(connection, done)
            return


def options(folder: Path) -> dict[str, str]:
    return {"worker": "code", "idle": str(folder / "idle"), "output": str(folder / "out")}


def test_a_worker_that_is_leaving_costs_no_try(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(client, "LEAVING_S", 0.001)
    played = Played(folder, 5)
    assert client.measure(options(folder)) == 0
    played.thread.join(10)
    assert (played.closes, played.requests) == (0, 1)
    assert (folder / "out").read_text() == "a trace"
    assert "went away" not in capsys.readouterr().err


def test_one_that_closes_every_connection_is_given_up(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(client, "LEAVING_S", 0.001)
    Played(folder, 10**6)
    assert client.measure(options(folder)) == 4
    assert "closes every connection" in capsys.readouterr().err
    assert not (folder / "out").exists()


def test_a_path_too_long_for_a_socket_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / ("x" * 100)))
    options = {"worker": "code", "idle": str(tmp_path / "idle.parquet")}
    assert client.measure(options) == DeviceError.exit_code
    said = capsys.readouterr().err
    assert "too long a path for a worker's socket" in said and "XDG_RUNTIME_DIR" in said
