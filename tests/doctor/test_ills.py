"""Each ill on the fake NVML library: who finds it, how grave it is, and what is said."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from nic_energy.measure.lock import lock_name
from tests.doctor.conftest import Station, check, text
from tests.doctor.ills import ILLS, Ill
from tests.measure.test_lock import HOLD

GPU = "GPU-fa4e0000-0000-4000-8000-000000000000"


def test_a_healthy_machine_has_nothing_to_worry_about(machine: Station) -> None:
    diagnosis = machine.examine(seconds=2.0)
    assert not diagnosis.with_status("warning", "failure")
    assert diagnosis.exit_code() == diagnosis.exit_code(strict=True) == 0
    assert diagnosis.verdict() == "campaign lab (device cuda:0, meter nvml) can run here."
    for column in ("power_instant_w", "power_average_w", "power_legacy_w"):
        period = re.search(r"a new value every ([\d.]+) ms", check(diagnosis, column).found)
        assert period, check(diagnosis, column)
        assert float(period[1]) == pytest.approx(20, rel=0.05)
    assert "both " + GPU in check(diagnosis, "same_device").found


@pytest.mark.parametrize("ill", ILLS, ids=[ill.name for ill in ILLS])
def test_an_ill_is_found(machine: Station, ill: Ill) -> None:
    machine.put(*ill.control)
    machine.install(**ill.torch)
    for name, value in ill.environment.items():
        machine.patch.setenv(name, value)
    diagnosis = machine.examine(ill.config, seconds=0.7 if ill.needs_reading else 0.2)
    found = check(diagnosis, ill.check)
    assert found.status == ill.status, found
    assert re.search(ill.text, text(found), re.DOTALL), found
    assert diagnosis.exit_code() == ill.exit_code, diagnosis.with_status("failure")
    assert ill.status in ("failure", "note") or diagnosis.exit_code(strict=True) == 3


def test_the_wrong_gpu_is_not_read(machine: Station) -> None:
    machine.put("devices 2", "fault nvmlDeviceGetPowerUsage 0 GPU_IS_LOST after=1")
    machine.install(devices=("GPU-fa4e0000-0000-4000-8000-000000000001",))
    machine.patch.setenv("CUDA_VISIBLE_DEVICES", "1")
    diagnosis = machine.examine()
    assert diagnosis.exit_code() == 0
    assert "cuda:0 is NVML 1" in check(diagnosis, "visible").found
    assert "NVML 0 = hidden from CUDA" in check(diagnosis, "devices").found


def test_a_lost_gpu_before_the_one_meant_does_not_shift_the_numbers(machine: Station) -> None:
    second = "GPU-fa4e0000-0000-4000-8000-000000000001"
    machine.put("devices 2", "fault * 0 GPU_IS_LOST")
    machine.install(devices=(second,))
    diagnosis = machine.examine()
    assert diagnosis.exit_code() == 0, diagnosis.with_status("failure")
    assert check(diagnosis, "devices").status == "note"
    assert f"both {second}" in check(diagnosis, "same_device").found
    assert "cuda:0 is NVML 1" in check(diagnosis, "visible").found
    alone = check(machine.examine(ask_torch=False), "visible")
    assert (alone.status, "not all of them answer" in alone.found) == ("warning", True)


def test_the_control_of_mps_is_found_before_its_server_starts(
    machine: Station, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "4242").mkdir()
    (tmp_path / "4242" / "comm").write_text("nvidia-cuda-mps\n")
    monkeypatch.setattr("nic_energy.doctor.machine.PROC", tmp_path)
    found = check(machine.examine(ask_torch=False), "mps")
    assert (found.status, "pid 4242" in found.found) == ("warning", True)


def test_a_gpu_that_is_measured_is_not_polled(machine: Station) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, GPU], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    holder.stdout.readline()
    try:
        diagnosis = machine.examine()
    finally:
        holder.communicate("")
    assert check(diagnosis, "lock").status == "failure"
    assert str(lock_name(GPU)) in check(diagnosis, "lock").found
    assert f"process {holder.pid} of user " in check(diagnosis, "lock").found
    assert "ss -xlp" in check(diagnosis, "lock").remedy
    assert check(diagnosis, "meter").found == "not read"
    assert diagnosis.exit_code() == 3
    assert check(machine.examine(), "lock").status == "ok"


def test_a_missing_package(machine: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib import metadata

    version = metadata.version

    def without(name: str) -> str:
        if name == "compressai":
            raise metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(metadata, "version", without)
    diagnosis = machine.examine(ask_torch=False)
    found = check(diagnosis, "packages")
    assert (found.status, diagnosis.exit_code()) == ("failure", 3)
    assert "not installed: compressai" in found.found


def test_pytorch_is_not_installed(machine: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib import metadata

    def missing(_name: str) -> metadata.Distribution:
        raise metadata.PackageNotFoundError

    monkeypatch.setattr(metadata, "distribution", missing)
    found = check(machine.examine(), "torch_build")
    assert (found.status, found.found) == ("failure", "PyTorch is not installed")


def test_without_asking_pytorch_the_device_is_inferred_and_that_is_said(machine: Station) -> None:
    diagnosis = machine.examine(ask_torch=False)
    assert check(diagnosis, "same_device").status == "note"
    assert "inferred only" in check(diagnosis, "same_device").means
    assert diagnosis.exit_code() == 0


def test_a_full_disk(machine: Station, tmp_path: Path) -> None:
    folder = tmp_path / "results" / "lab"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a tmpfs cannot be mounted here (mount(8) refused; needs root)")
    try:
        diagnosis = machine.examine(ask_torch=False)
    finally:
        subprocess.run(["umount", str(folder)], check=True)
    assert diagnosis.exit_code() == 3
    space, write = check(diagnosis, "disk_space"), check(diagnosis, "disk_write")
    assert space.status == write.status == "failure"
    assert "(2640 modalities)" in space.found
    assert "No space left on device" in write.found
