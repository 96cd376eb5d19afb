"""A client of the worker that is asked to stop while it waits for a modality."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nic_energy.worker.registry import address_of
from nic_energy.worker.wire import WorkerGoneError, connected, receive, send
from tests.faults.command import ROOT

OPTIONS = [
    *("--config", "config.json", "--digest", "0123456789abcdef", "--network", "tiny"),
    *("--quality", "1", "--image", "image", "--image-file", "image.png", "--idle", "idle.parquet"),
    *("--output", "trace.parquet", "--worker", "code"),
]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: that of a Unix socket has at most 107 characters."""
    made = Path(f"/tmp/nic-{os.getpid()}-{os.urandom(3).hex()}")
    made.mkdir()
    yield made
    shutil.rmtree(made)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_client_that_is_stopped_says_so_and_its_worker_hears_of_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    address = address_of("code", "0123456789abcdef", "", folder)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(address.socket))
        listener.listen()
        client = subprocess.Popen(
            [sys.executable, "-m", "nic_energy.cli", "measure", *OPTIONS],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
            stderr=subprocess.PIPE,
            text=True,
        )
        asking, _ = listener.accept()
        with connected(asking) as connection:
            assert receive(connection, 60)["request"] == "measure"
            send(connection, {"kind": "hello", "pid": os.getpid()})
            client.send_signal(signal.Signals[name])
            _, said = client.communicate(timeout=120)
            with pytest.raises(WorkerGoneError):
                receive(connection, 60)
    assert client.returncode == 9
    assert said.startswith(f"nic-energy: stopped by {name}; run again to go on")
    assert "Traceback" not in said
    assert not (folder / "trace.parquet").exists()
