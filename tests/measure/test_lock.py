import os
import pwd
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from nic_energy.errors import DeviceError
from nic_energy.measure.lock import device_lock, holder, lock_name

HOLD = """
import os, sys
from nic_energy.measure.lock import device_lock
if len(sys.argv) > 2:
    os.setuid(int(sys.argv[2]))
with device_lock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""
UUID = f"GPU-lock/test-{os.getpid()}"


def holding(*arguments: str) -> "subprocess.Popen[str]":
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


@pytest.fixture
def held() -> Iterator["subprocess.Popen[str]"]:
    """A process that holds the lock until its input ends."""
    process = holding(UUID)
    yield process
    process.communicate("")


def refused(uuid: str = UUID) -> str:
    with pytest.raises(DeviceError) as caught, device_lock(uuid, timeout_s=0.2):
        raise AssertionError
    return str(caught.value)


def test_two_processes_cannot_hold_one_device(held: "subprocess.Popen[str]") -> None:
    message = refused()
    user = f"{pwd.getpwuid(os.getuid()).pw_name} ({os.getuid()})"
    who = f"process {held.pid} of user {user} ({sys.executable} -c import os, sys"
    assert re.search(
        rf"{UUID}: another measurement has held it for 0 s: {re.escape(who)}.{{,100}}\) holds the "
        rf"lock {lock_name(UUID)}\. .*\(ss -xlp shows it\): there is no file to remove",
        message,
    ), message
    assert str(holder(UUID)).startswith(who)
    assert holder(f"{UUID}-other") is None
    assert lock_name(UUID) in Path("/proc/net/unix").read_text()
    with device_lock(f"{UUID}-other", timeout_s=0.2):
        pass
    held.communicate("")
    assert holder(UUID) is None
    with device_lock(UUID, timeout_s=5):
        pass
    with device_lock(UUID, timeout_s=5):
        pass


def test_a_process_that_is_killed_leaves_no_lock(held: "subprocess.Popen[str]") -> None:
    held.send_signal(signal.SIGKILL)
    held.wait()
    with device_lock(UUID, timeout_s=5):
        pass


def test_who_waits_gets_the_lock_when_it_is_free(held: "subprocess.Popen[str]") -> None:
    waiter = subprocess.Popen(
        [sys.executable, "-c", HOLD, UUID], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    held.communicate("")
    output, _ = waiter.communicate("", timeout=60)
    assert output == "held\n"


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to become another user")
def test_another_user_is_kept_out_too_and_comes_next() -> None:
    other = holding(UUID, "65534")
    assert re.search(r"of user \w* ?\(?65534", refused())
    other.communicate("")
    with device_lock(UUID, timeout_s=5):
        pass
    other = holding(UUID, "65534")
    other.communicate("")


def test_nothing_planted_in_the_folder_of_temporary_files_matters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No file is opened, so that none can be a link to somebody's data."""
    victim = tmp_path / "victim"
    victim.write_text("data")
    planted = tmp_path / "tmp"
    planted.mkdir()
    name = "".join(c if c.isalnum() or c in "-_." else "_" for c in UUID)
    (planted / f"nic-energy-{name}.lock").symlink_to(victim)
    monkeypatch.setattr(tempfile, "tempdir", str(planted))
    with device_lock(UUID, timeout_s=5):
        assert [path.name for path in planted.iterdir()] == [f"nic-energy-{name}.lock"]
    assert victim.read_text() == "data"


def test_no_child_process_inherits_the_lock() -> None:
    with device_lock(UUID, timeout_s=5):
        child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=-1)
    with device_lock(UUID, timeout_s=5):
        pass
    child.communicate(b"")
