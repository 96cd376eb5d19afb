"""The NVML meter when readings fail: at opening, for a moment, for good."""

import time
from pathlib import Path
from typing import Any

import pynvml
import pytest

from nic_energy.errors import DeviceError, MeterError
from nic_energy.meters import nvml_calls
from nic_energy.meters.nvml import NvmlMeter
from nic_energy.meters.nvml_errors import REMEDIES
from tests.fake_nvml import FIRST, FakeNvml

AUXILIARY = {
    "nvmlDeviceGetUtilizationRates": {"utilization_percent", "memory_utilization_percent"},
    "nvmlDeviceGetClockInfo": {"sm_clock_mhz", "memory_clock_mhz"},
    "nvmlDeviceGetPerformanceState": {"performance_state"},
    "nvmlDeviceGetMemoryInfo": {"memory_used_bytes"},
    "nvmlDeviceGetTemperatureV nvmlDeviceGetTemperature": {"temperature_c"},
    "nvmlDeviceGetComputeRunningProcesses_v3 nvmlDeviceGetComputeRunningProcesses_v2": {
        "compute_processes"
    },
    "nvmlDeviceGetCurrentClocksEventReasons nvmlDeviceGetCurrentClocksThrottleReasons": {
        "throttle_reasons"
    },
}


def faults(calls: str, error: str) -> list[str]:
    return [f"fault {call} * {error}" for call in calls.split()]


@pytest.mark.parametrize("error", ["UNKNOWN", "TIMEOUT", "NOT_SUPPORTED", "IN_USE"])
@pytest.mark.parametrize("calls", AUXILIARY)
def test_an_auxiliary_reading_that_fails_at_opening_is_not_offered(
    fake_nvml: FakeNvml, calls: str, error: str
) -> None:
    whole = NvmlMeter(FIRST)
    sound = whole.read()
    whole.close()
    fake_nvml.put(*faults(calls, error))
    meter = NvmlMeter(FIRST)
    assert set(sound) - set(meter.read()) == AUXILIARY[calls]
    assert meter.read()["failed_readings"] == 0
    assert meter.info().temperature == ("Temperature" not in calls)
    name = calls.split()[0].removesuffix("_v3")
    assert any(each.startswith(name) for each in meter.info().details["not_offered"])
    meter.close()


@pytest.mark.parametrize("error", ["GPU_IS_LOST", "RESET_REQUIRED"])
@pytest.mark.parametrize("calls", AUXILIARY)
def test_a_lost_device_is_an_error_whatever_reading_tells_it(
    fake_nvml: FakeNvml, clock: list[float], calls: str, error: str
) -> None:
    fake_nvml.put(*faults(calls, error))
    with pytest.raises(DeviceError, match=r"needs a reset|fallen off the bus"):
        NvmlMeter(FIRST)
    fake_nvml.put()
    meter = NvmlMeter(FIRST)
    clock[0] += 2
    fake_nvml.put(*faults(calls, error))
    with pytest.raises(MeterError, match=r"needs a reset|fallen off the bus"):
        meter.read()
    meter.close()


def test_an_auxiliary_reading_that_comes_and_goes_counts_against_no_window(
    fake_nvml: FakeNvml, clock: list[float]
) -> None:
    call = "nvmlDeviceGetUtilizationRates"
    meter = NvmlMeter(FIRST)
    for turn in range(12):
        fails = turn % 3 > 0
        fake_nvml.put(*faults(call, "UNKNOWN") if fails else [])
        sample = meter.read()
        assert sample["failed_readings"] == 0
        assert (sample.get("utilization_percent") is None) == fails
        clock[0] += 0.9
    assert meter.failures() == {f"{call}: Unknown Error": 8}
    meter.close()


@pytest.mark.parametrize("calls", AUXILIARY)
def test_an_auxiliary_reading_that_fails_for_long_is_null_from_then_on(
    fake_nvml: FakeNvml, clock: list[float], calls: str
) -> None:
    fake_nvml.put()
    meter = NvmlMeter(FIRST)
    clock[0] += 2
    fake_nvml.put(*faults(calls, "UNKNOWN"))
    for _ in range(20):
        sample = meter.read()
        assert sample["failed_readings"] == 0
        assert not AUXILIARY[calls].intersection(sample)
        clock[0] += 0.5
    readings = 2 if calls == "nvmlDeviceGetClockInfo" else 1
    counts = list(meter.failures().values())
    assert sum(counts) == readings * (5 + 1)
    given_up = [text for text in meter.failures() if "given up" in text]
    assert len(given_up) == readings
    assert sample["power_legacy_w"] is not None
    meter.close()


@pytest.mark.parametrize("failing", [(74, 75, 269, 270, 271), (269,)])
def test_an_auxiliary_field_that_fails_for_long_takes_no_power_with_it(
    fake_nvml: FakeNvml,
    clock: list[float],
    monkeypatch: pytest.MonkeyPatch,
    failing: tuple[int, ...],
) -> None:
    fake_nvml.put("field 74:1 75:1 269:1 270:1 271:1")
    meter = NvmlMeter(FIRST)
    for field in failing:
        field_error(monkeypatch, field, pynvml.NVML_ERROR_UNKNOWN)
    for _ in range(10):
        sample = meter.read()
        assert sample["failed_readings"] == 0
        assert "throttle_sw_thermal_ns" not in sample
        assert sample["power_instant_w"] is not None
        clock[0] += 0.5
    assert len([text for text in meter.failures() if "given up" in text]) == len(failing)
    meter.close()


def test_an_auxiliary_field_without_an_answer_at_opening_is_not_offered(
    fake_nvml: FakeNvml, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_nvml.put("field 74:1 75:1 269:1 270:1 271:1")
    field_error(monkeypatch, 269, pynvml.NVML_ERROR_TIMEOUT)
    meter = NvmlMeter(FIRST)
    assert meter.info().details["not_offered"] == ["nvmlDeviceGetFieldValues(269): Timeout"]
    meter.close()


def test_the_server_of_mps_is_no_process_that_computes(
    fake_nvml: FakeNvml, clock: list[float]
) -> None:
    fake_nvml.put("procs 999998:20 999999:300", "comm 999998:/usr/bin/nvidia-cuda-mps-server")
    meter = NvmlMeter(FIRST)
    assert meter.read()["compute_processes"] == 1
    fake_nvml.put("procs 999997:9 999998:20 999999:300", "comm 999998:nvidia-cuda-mps-server")
    clock[0] += 2
    assert meter.read()["compute_processes"] == 2
    meter.close()


def test_the_server_of_mps_is_known_by_the_name_that_the_kernel_cuts(
    fake_nvml: FakeNvml, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "999998").mkdir()
    (tmp_path / "999998" / "comm").write_text("nvidia-cuda-mps\n")
    monkeypatch.setattr(nvml_calls, "PROC", tmp_path)
    fake_nvml.put("procs 999998:20 999999:300")
    meter = NvmlMeter(FIRST)
    assert meter.read()["compute_processes"] == 1
    meter.close()


POWER = "nvmlDeviceGetPowerUsage"
FIELDS = "nvmlDeviceGetFieldValues"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        ("GPU_IS_LOST", "fallen off the bus.*dmesg"),
        ("RESET_REQUIRED", "needs a reset"),
        ("UNINITIALIZED", "shut down while it was in use"),
        ("DRIVER_NOT_LOADED", "driver is not loaded"),
        ("LIB_RM_VERSION_MISMATCH", "different driver versions.*reload"),
    ],
)
@pytest.mark.parametrize("call", [POWER, FIELDS])
def test_a_device_that_is_gone_in_mid_run_is_an_error_at_once(
    fake_nvml: FakeNvml, call: str, error: str, message: str
) -> None:
    meter = NvmlMeter(FIRST)
    meter.read()
    fake_nvml.put(f"fault {call} * {error}")
    with pytest.raises(MeterError, match=rf"Fake NVML Test GPU: NVML says .*{call}.*{message}"):
        meter.read()
    meter.close()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The monotonic clock of the meter, in a list of one: it goes only when it is told to."""
    now = [time.monotonic()]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


@pytest.mark.parametrize("error", ["TIMEOUT", "UNKNOWN", "NO_PERMISSION", "NOT_SUPPORTED"])
@pytest.mark.parametrize(
    ("call", "columns"),
    [(POWER, {"power_legacy_w"}), (FIELDS, {"power_instant_w", "energy_counter_j"})],
)
def test_a_reading_that_fails_once_is_null_and_counted(
    fake_nvml: FakeNvml, call: str, columns: set[str], error: str
) -> None:
    meter = NvmlMeter(FIRST)
    sound = meter.read()
    fake_nvml.put(f"fault {call} * {error} count=1")
    failed, next_one = meter.read(), meter.read()
    assert sound["failed_readings"] == next_one["failed_readings"] == 0
    assert failed["failed_readings"] == (1 if call == POWER else 3)
    for column in columns:
        assert failed.get(column) is None
        assert sound[column] is not None
        assert next_one[column] is not None
    assert failed["temperature_c"] is not None
    assert [(text.partition(":")[0], n) for text, n in meter.failures().items()] == [(call, 1)]
    meter.close()


@pytest.mark.parametrize(
    ("error", "message"),
    [
        ("TIMEOUT", "did not answer in time"),
        ("NO_PERMISSION", "may not read it"),
        ("NOT_SUPPORTED", "does not offer the reading"),
        ("UNKNOWN", "internal driver error"),
        ("MEMORY", "out of memory"),
    ],
)
@pytest.mark.parametrize("call", [POWER, FIELDS])
def test_a_reading_that_fails_for_long_is_an_error(
    fake_nvml: FakeNvml, clock: list[float], call: str, error: str, message: str
) -> None:
    meter = NvmlMeter(FIRST)
    meter.read()
    fake_nvml.put(f"fault {call} * {error}")
    for _ in range(4):
        assert meter.read()["failed_readings"]
        clock[0] += 0.5
    with pytest.raises(
        MeterError,
        match=rf"Fake NVML Test GPU: NVML says .*{call}, 5 times in a row over 2.0 s: .*{message}",
    ):
        meter.read()
    meter.close()


def test_a_reading_that_comes_back_begins_its_patience_anew(
    fake_nvml: FakeNvml, clock: list[float]
) -> None:
    meter = NvmlMeter(FIRST)
    for failing in (True, True, False, True, True, True):
        fake_nvml.put(f"fault {POWER} * TIMEOUT" if failing else "")
        assert meter.read()["failed_readings"] == failing
        clock[0] += 0.9
    assert sum(meter.failures().values()) == 5
    meter.close()


def test_two_slow_failures_in_a_row_are_not_yet_an_error(
    fake_nvml: FakeNvml, clock: list[float]
) -> None:
    meter = NvmlMeter(FIRST)
    fake_nvml.put(f"fault {POWER} * TIMEOUT")
    meter.read()
    clock[0] += 5.0
    assert meter.read()["failed_readings"] == 1
    clock[0] += 0.1
    with pytest.raises(MeterError, match="3 times in a row over 5"):
        meter.read()
    meter.close()


def field_error(monkeypatch: pytest.MonkeyPatch, field: int, error: int) -> None:
    """Let one field of the answer carry an error of its own."""
    ask = pynvml.nvmlDeviceGetFieldValues

    def answer(handle: Any, ids: list[int]) -> Any:
        values = ask(handle, ids)
        for value in values:
            if value.fieldId == field:
                value.nvmlReturn = error
        return values

    monkeypatch.setattr(pynvml, "nvmlDeviceGetFieldValues", answer)


def test_one_field_that_fails_takes_no_other_with_it(
    fake_nvml: FakeNvml, monkeypatch: pytest.MonkeyPatch
) -> None:
    meter = NvmlMeter(FIRST)
    field_error(monkeypatch, pynvml.NVML_FI_DEV_POWER_INSTANT, pynvml.NVML_ERROR_TIMEOUT)
    sample = meter.read()
    assert sample.get("power_instant_w") is None
    assert sample["power_average_w"] is not None
    assert sample["failed_readings"] == 1
    meter.close()


@pytest.mark.parametrize("error", [pynvml.NVML_ERROR_TIMEOUT, pynvml.NVML_ERROR_GPU_IS_LOST])
def test_a_field_that_gives_no_answer_at_opening_is_not_taken_for_one_that_is_not_offered(
    fake_nvml: FakeNvml, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    field_error(monkeypatch, pynvml.NVML_FI_DEV_POWER_INSTANT, error)
    with pytest.raises(DeviceError, match=r"nvmlDeviceGetFieldValues\(186\)"):
        NvmlMeter(FIRST)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        ("DRIVER_NOT_LOADED", "driver is not loaded"),
        ("LIB_RM_VERSION_MISMATCH", "different driver versions.*Reboot"),
        ("NO_PERMISSION", "may not read it"),
    ],
)
def test_an_nvml_that_does_not_start_says_why(
    fake_nvml: FakeNvml, error: str, message: str
) -> None:
    fake_nvml.put(f"fault nvmlInitWithFlags * {error}")
    with pytest.raises(DeviceError, match=message):
        NvmlMeter(FIRST)


def test_a_lost_device_cannot_be_opened(fake_nvml: FakeNvml) -> None:
    fake_nvml.put("fault nvmlDeviceGetPowerUsage * GPU_IS_LOST")
    with pytest.raises(DeviceError, match="fallen off the bus"):
        NvmlMeter(FIRST)
    fake_nvml.put("fault nvmlDeviceGetFieldValues * GPU_IS_LOST")
    with pytest.raises(DeviceError, match="fallen off the bus"):
        NvmlMeter(FIRST)
    fake_nvml.put("fault nvmlDeviceGetCount_v2 * UNKNOWN")
    with pytest.raises(DeviceError, match="list of devices"):
        NvmlMeter("x")


def test_a_device_without_any_power_reading_is_refused_with_what_it_refused(
    fake_nvml: FakeNvml,
) -> None:
    fake_nvml.put(
        "fault nvmlDeviceGetFieldValues * NOT_SUPPORTED",
        "fault nvmlDeviceGetPowerUsage * NO_PERMISSION",
    )
    with pytest.raises(DeviceError, match=r"no power reading at all.*Insufficient Permissions"):
        NvmlMeter(FIRST)


def test_a_board_split_by_mig_is_refused(fake_nvml: FakeNvml) -> None:
    fake_nvml.put("mig 0")
    NvmlMeter(FIRST).close()
    fake_nvml.put("mig 1")
    with pytest.raises(DeviceError, match=r"MIG is on.*whole board's.*nvidia-smi -mig 0"):
        NvmlMeter(FIRST)


def test_compute_processes_are_counted_once_a_second(
    fake_nvml: FakeNvml, clock: list[float]
) -> None:
    fake_nvml.put("procs 4711:100")
    meter = NvmlMeter(FIRST)
    assert meter.read()["compute_processes"] == 1
    fake_nvml.put("procs 4711:100 4712:50")
    assert meter.read()["compute_processes"] == 1
    clock[0] += 2
    assert meter.read()["compute_processes"] == 2
    meter.close()


def test_every_remedy_says_something() -> None:
    assert all(len(text) > 20 and text.endswith((".", ")")) for text in REMEDIES.values())
