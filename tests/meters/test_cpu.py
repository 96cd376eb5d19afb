"""RAPL and the estimate from processor load, on files that stand in for the kernel's."""

import os
import time
from pathlib import Path

import pytest

from nic_energy.errors import DeviceError, MeterError
from nic_energy.meters import MeterRequest, open_meter
from nic_energy.meters.cpu_load import CpuLoadMeter
from nic_energy.meters.machine import machine_uuid, processor_name
from nic_energy.meters.rapl import RaplMeter


def package(root: Path, number: int, energy_uj: int, span_uj: int = 1000_000_000) -> Path:
    folder = root / f"intel-rapl:{number}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "name").write_text(f"package-{number}\n")
    (folder / "energy_uj").write_text(f"{energy_uj}\n")
    (folder / "max_energy_range_uj").write_text(f"{span_uj}\n")
    return folder / "energy_uj"


def test_packages_are_summed_and_subdomains_left_out(tmp_path: Path) -> None:
    first, second = package(tmp_path, 0, 5_000_000), package(tmp_path, 1, 7_000_000)
    sub = tmp_path / "intel-rapl:0:0"
    sub.mkdir()
    (sub / "name").write_text("core\n")
    meter = RaplMeter({"powercap_root": str(tmp_path)})
    assert meter.read()["power_rapl_w"] is None
    first.write_text("6000000")
    second.write_text("9000000")
    time.sleep(0.02)
    sample = meter.read()
    assert sample["energy_counter_j"] == pytest.approx(3.0)
    assert sample["power_rapl_w"] is not None
    assert 0 < sample["power_rapl_w"] <= 3.0 / 0.02
    info = meter.info()
    assert (info.source, info.counter) == ("measured", True)
    assert info.details["domains"] == ["package-0", "package-1"]
    meter.close()


def test_a_counter_that_wraps_around_goes_on(tmp_path: Path) -> None:
    path = package(tmp_path, 0, 900_000_000, span_uj=999_999_999)
    meter = RaplMeter({"powercap_root": str(tmp_path)})
    path.write_text("100000000")
    assert meter.read()["energy_counter_j"] == pytest.approx(200.0)
    path.write_text("150000000")
    assert meter.read()["energy_counter_j"] == pytest.approx(250.0)


def test_unreadable_counters_name_the_command_that_helps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = package(tmp_path, 0, 1)
    read_text = Path.read_text

    def refuse(self: Path, *args: str, **options: str) -> str:
        if self == path:
            raise PermissionError(13, "Permission denied")
        return read_text(self, *args, **options)

    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(DeviceError, match=rf"sudo chmod a\+r {path}; for good.*tmpfiles"):
        RaplMeter({"powercap_root": str(tmp_path)})


def test_no_rapl_says_what_was_found_and_what_to_choose(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match=r"found: nothing.*meter: cpu_load"):
        RaplMeter({"powercap_root": str(tmp_path / "none")})
    package(tmp_path, 0, 1).write_text("no number")
    with pytest.raises(DeviceError, match="cannot be read"):
        RaplMeter({"powercap_root": str(tmp_path)})


def test_a_counter_that_disappears_is_an_error_in_mid_run(tmp_path: Path) -> None:
    path = package(tmp_path, 0, 1)
    meter = RaplMeter({"powercap_root": str(tmp_path)})
    path.unlink()
    with pytest.raises(MeterError, match="meter rapl"):
        meter.read()


def stat(path: Path, busy: int, idle: int) -> None:
    path.write_text(f"cpu  {busy} 0 0 {idle} 0 0 0 0 0 0\ncpu0 1 2 3\n")


def test_load_becomes_power_between_the_two_ends(tmp_path: Path) -> None:
    path = tmp_path / "stat"
    stat(path, 100, 100)
    meter = CpuLoadMeter({"idle_w": 10, "full_w": 50, "stat": str(path)})
    assert meter.read()["power_load_w"] is None
    time.sleep(0.02)
    stat(path, 125, 175)
    sample = meter.read()
    assert sample["utilization_percent"] == pytest.approx(25)
    assert sample["power_load_w"] == pytest.approx(20)
    assert sample["energy_counter_j"] is not None
    assert sample["energy_counter_j"] >= 20 * 0.02
    info = meter.info()
    assert (info.source, info.temperature) == ("estimated", False)
    path.unlink()
    with pytest.raises(MeterError, match="cpu_load"):
        meter.read()
    meter.close()


def test_the_real_machine_answers_or_says_why() -> None:
    meter = open_meter(MeterRequest("cpu_load", "cpu", None, {"idle_w": 10, "full_w": 50}))
    meter.read()
    time.sleep(0.1)
    power = meter.read()["power_load_w"]
    assert power is not None
    assert 10 <= power <= 50
    with pytest.raises(DeviceError, match="works on Linux only"):
        CpuLoadMeter({"idle_w": 1, "full_w": 2, "stat": "/nowhere"})
    with pytest.raises(DeviceError, match="there are nvml"):
        open_meter(MeterRequest("wattmeter", "cpu"))
    if os.access("/sys/class/powercap/intel-rapl:0/energy_uj", os.R_OK):
        assert open_meter(MeterRequest("rapl", "cpu")).read()["energy_counter_j"] is not None
    else:
        with pytest.raises(DeviceError, match=r"meter rapl"):
            open_meter(MeterRequest("rapl", "cpu"))


def test_the_machine_has_a_stable_name() -> None:
    assert machine_uuid() == machine_uuid()
    assert machine_uuid().startswith("CPU-")
    assert processor_name()
