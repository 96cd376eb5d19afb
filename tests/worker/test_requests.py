"""What a worker refuses, and where it listens."""

import os
import socket
import stat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nic_energy.cli.working import WorkersDesk
from nic_energy.errors import ConfigError, DeviceError, InterruptedMeasurementError
from nic_energy.measure import serving
from nic_energy.measure.modality import Outcome
from nic_energy.measure.serving import Worker
from nic_energy.worker import registry
from nic_energy.worker.client import parsed, switched_off
from nic_energy.worker.wire import WorkerGoneError, connected, peer_uid, receive, send

OPTIONS = {
    "config": "results/a/config.json",
    "network": "mbt2018",
    "quality": "3",
    "image": "one",
    "image_file": "results/images/one.png",
    "idle": "results/a/reference/idle.parquet",
    "output": "results/a/traces/one.parquet",
}


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Worker:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    address = registry.address_of("code", "settings", "GPU-1", tmp_path)
    return Worker(address, "GPU-1", WorkersDesk(), 1.0, 0)


def request(root: Path, **changes: Any) -> dict[str, Any]:
    return {"request": "measure", "root": str(root), "options": {**OPTIONS, **changes}}


def test_a_sound_request_is_taken(worker: Worker, tmp_path: Path) -> None:
    assert worker._checked(request(tmp_path)) == OPTIONS


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"output": "../elsewhere.parquet"}, "lies outside"),
        ({"output": "/etc/cron.d/evil"}, "lies outside"),
        ({"config": "results/../../config.json"}, "lies outside"),
        ({"idle": "link/idle.parquet"}, "lies outside"),
        ({"network": "../mbt2018"}, "does not match"),
        ({"image": "a/b"}, "does not match"),
        ({"quality": "3; rm"}, "does not match"),
        ({"surprise": "1"}, "Additional properties"),
        ({"output": 3}, "is not of type 'string'"),
    ],
)
def test_what_is_not_one_is_refused(
    worker: Worker, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    (tmp_path / "link").symlink_to("/etc")
    with pytest.raises(ConfigError, match=message):
        worker._checked(request(tmp_path, **change))


def test_a_request_of_another_folder_or_kind_is_refused(worker: Worker, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="it serves"):
        worker._checked(request(tmp_path / "other"))
    with pytest.raises(ConfigError, match="'measure' was expected"):
        worker._checked({**request(tmp_path), "request": "shell"})
    with pytest.raises(ConfigError, match="'options' is a required property"):
        worker._checked({"request": "measure", "root": str(tmp_path)})


def test_another_user_is_refused(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    monkeypatch.setattr(serving, "peer_uid", lambda _: os.getuid() + 1)
    worker._serve(theirs)
    with connected(ours) as connection, pytest.raises(WorkerGoneError):
        receive(connection, 1)


def test_a_signal_to_leave_outlives_the_client_that_asked(
    worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with connected(ours) as client:

        def told_to_leave(*_: Any) -> Outcome:
            client.close()
            raise InterruptedMeasurementError("stopped by SIGTERM")

        monkeypatch.setattr(worker, "_checked", lambda _: OPTIONS)
        monkeypatch.setattr(WorkersDesk, "prepare", lambda *_: SimpleNamespace(key="one"))
        monkeypatch.setattr(worker, "_attempt", told_to_leave)
        send(client, request(tmp_path))
        with pytest.raises(InterruptedMeasurementError, match="SIGTERM"):
            worker._serve(theirs)


def test_the_folder_of_sockets_is_its_owners_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    folder = registry.runtime_folder()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    folder.chmod(0o755)
    with pytest.raises(DeviceError, match="not a folder of this user alone"):
        registry.runtime_folder()
    folder.rmdir()
    (tmp_path / "real").mkdir(mode=0o700)
    folder.symlink_to(tmp_path / "real")
    with pytest.raises(DeviceError, match="not a folder of this user alone"):
        registry.runtime_folder()


def test_the_key_changes_with_everything_that_must_not_be_mixed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    base = ("code", "settings", "GPU-1", tmp_path)
    keys = {registry.address_of(*base).key}
    for place, other in enumerate(("edited", "others", "GPU-2", tmp_path / "b")):
        changed = [*base]
        changed[place] = other
        keys.add(registry.address_of(*changed).key)  # type: ignore[arg-type]
    monkeypatch.setattr("sys.prefix", "/another/environment")
    keys.add(registry.address_of(*base).key)
    assert len(keys) == 6


def test_messages_arrive_whole_and_rubbish_is_no_message() -> None:
    one, two = socket.socketpair(socket.AF_UNIX)
    assert peer_uid(one) == os.getuid()
    here, there = connected(one), connected(two)
    with here, there:
        send(here, {"text": "µ" * 5000})
        assert receive(there, 1) == {"text": "µ" * 5000}
        for rubbish in (b"\x80\x04]", b"[1]", b"{"):
            here.send_bytes(rubbish)
            with pytest.raises(WorkerGoneError):
                receive(there, 1)
        with pytest.raises(WorkerGoneError, match="no answer for 0 s"):
            receive(there, 0.01)
        here.close()
        with pytest.raises(WorkerGoneError):
            receive(there, 1)
        with pytest.raises(WorkerGoneError):
            send(there, {})


def test_a_status_of_another_process_is_not_a_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    address = registry.Address(registry.runtime_folder(), "0123456789abcdef")
    left = registry.Status(address.key, os.getpid(), "GPU-1", "/", "2026-01-01T00:00:00Z", 3, None)
    registry.write_status(address, left)
    assert list(registry.workers()) == []
    assert not address.status.exists()


def test_only_a_whole_request_goes_to_the_worker() -> None:
    words = [f"--{name.replace('_', '-')}={value}" for name, value in OPTIONS.items()]
    pairs = [piece for name, value in OPTIONS.items()
             for piece in (f"--{name.replace('_', '-')}", value)]  # fmt: skip
    whole = parsed([*pairs, "--worker", "code"])
    assert whole == {**OPTIONS, "worker": "code"}
    for others in ([], ["--help"], words, pairs, [*pairs, "--worker", "code", "--no-worker"]):
        assert parsed(others) is None


@pytest.mark.parametrize(
    ("text", "off"),
    [
        ('{"worker": {"enabled": false}}', True),
        ('{"worker": {"enabled": true}}', False),
        ('{"worker": {}}', False),
        ("[]", False),
        ("{", False),
        (None, False),
    ],
)
def test_only_a_configuration_that_says_so_switches_the_worker_off(
    tmp_path: Path, text: str | None, off: bool
) -> None:
    config = tmp_path / "config.json"
    if text is not None:
        config.write_text(text)
    assert switched_off(config) is off
