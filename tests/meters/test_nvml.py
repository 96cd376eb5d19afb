"""The NVML meter: the real pynvml on a library that stands in for NVIDIA's."""

import re
import time
from pathlib import Path
from typing import Any

import pynvml
import pytest

from nic_energy.errors import DeviceError, MeterError
from nic_energy.meters import MeterRequest, nvml_calls, open_meter
from nic_energy.meters.nvml import NvmlMeter
from nic_energy.meters.nvml_errors import REMEDIES
from tests.fake_nvml import FakeNvml

FIRST = "GPU-fa4e0000-0000-4000-8000-000000000000"
SECOND = "GPU-fa4e0000-0000-4000-8000-000000000001"


def test_a_healthy_device_fills_every_column_that_it_offers(fake_nvml: FakeNvml) -> None:
    fake_nvml.put("trace 10:150:100")
    meter = NvmlMeter(FIRST)
    sample = meter.read()
    assert sample["power_instant_w"] == pytest.approx(150)
    assert sample["power_average_w"] == pytest.approx(150)
    assert sample["power_legacy_w"] == pytest.approx(150)
    assert isinstance(sample["power_instant_time_us"], int)
    assert abs(sample["power_instant_time_us"] / 1e6 - time.time()) < 5
    assert sample["temperature_c"] == pytest.approx(46, abs=1)
    assert sample["utilization_percent"] == 100
    assert sample["sm_clock_mhz"] == 1755
    assert sample["memory_clock_mhz"] == 1215
    assert sample["performance_state"] == 0
    assert sample["throttle_reasons"] == 0
    assert sample["memory_used_bytes"] == 512 * 2**20
    meter.close()


def test_what_the_device_does_not_offer_is_missing_never_zero(fake_nvml: FakeNvml) -> None:
    fake_nvml.put(
        "nofield 185 186",
        "fault nvmlDeviceGetTemperatureV * NOT_SUPPORTED",
        "fault nvmlDeviceGetTemperature * NOT_SUPPORTED",
    )
    meter = NvmlMeter(FIRST)
    sample = meter.read()
    for column in ("power_instant_w", "power_average_w", "temperature_c", "throttle_power_cap_ns"):
        assert sample.get(column) is None
    info = meter.info()
    assert [field.column for field in info.power_fields] == ["power_legacy_w"]
    assert not info.temperature
    meter.close()


def test_cumulative_throttle_times_are_kept_as_counted(fake_nvml: FakeNvml) -> None:
    fake_nvml.put("field 74:123456789 75:7 269:1 270:2 271:3")
    meter = NvmlMeter(FIRST)
    sample = meter.read()
    assert sample["throttle_power_cap_ns"] == 123456789
    assert sample["throttle_thermal_policy_ns"] == 7
    assert [sample[f"throttle_{n}_ns"] for n in ("sw_thermal", "hw_thermal", "power_brake")] == [
        1,
        2,
        3,
    ]
    meter.close()


def test_the_energy_counter_counts_the_power(fake_nvml: FakeNvml) -> None:
    fake_nvml.put("trace 10:150:100", "energy_ms 1")
    meter = NvmlMeter(FIRST)
    began, first = time.monotonic(), meter.read()["energy_counter_j"]
    time.sleep(0.3)
    ended, last = time.monotonic(), meter.read()["energy_counter_j"]
    assert first is not None
    assert last is not None
    assert last - first == pytest.approx(150 * (ended - began), abs=2)
    meter.close()


def test_without_field_83_the_counter_comes_from_its_own_call(fake_nvml: FakeNvml) -> None:
    fake_nvml.put("nofield 83")
    meter = NvmlMeter(FIRST)
    assert meter.info().counter
    assert meter.read()["energy_counter_j"]
    meter.close()


@pytest.mark.parametrize("uuid", [SECOND, SECOND.removeprefix("GPU-")])
def test_the_device_is_chosen_by_its_uuid(fake_nvml: FakeNvml, uuid: str) -> None:
    fake_nvml.put("devices 2", "fault nvmlDeviceGetPowerUsage 0 GPU_IS_LOST")
    meter = NvmlMeter(uuid)
    assert meter.info().device_uuid == SECOND
    assert meter.read()["power_legacy_w"] is not None
    meter.close()


@pytest.mark.parametrize(
    "fault",
    [
        "nvmlDeviceGetHandleByIndex_v2 0 NO_PERMISSION",
        "nvmlDeviceGetHandleByIndex_v2 0 GPU_IS_LOST",
        "nvmlDeviceGetUUID 0 GPU_IS_LOST",
        "nvmlDeviceGetName 0 GPU_IS_LOST",
        "* 0 GPU_IS_LOST",
        "nvmlDeviceGetCount_v2 * UNKNOWN",
    ],
)
def test_a_device_beside_it_that_does_not_answer_harms_nothing(
    fake_nvml: FakeNvml, fault: str
) -> None:
    fake_nvml.put("devices 2", f"fault {fault}")
    meter = NvmlMeter(SECOND)
    assert meter.info().device_uuid == SECOND
    assert meter.read()["failed_readings"] == 0
    meter.close()


def test_it_is_found_although_nvml_refuses_its_uuid_for_the_sake_of_another(
    fake_nvml: FakeNvml,
) -> None:
    fake_nvml.put(
        "devices 2",
        "fault nvmlDeviceGetHandleByUUID * GPU_IS_LOST",
        "fault nvmlDeviceGetHandleByIndex_v2 0 GPU_IS_LOST",
    )
    meter = NvmlMeter(SECOND)
    assert meter.info().device_uuid == SECOND
    meter.close()


def test_a_device_keeps_its_uuid_whatever_the_order_of_nvml(fake_nvml: FakeNvml) -> None:
    fake_nvml.put("devices 2", f"uuid 0:{SECOND} 1:{FIRST}", "fault nvmlDeviceGetName 0 UNKNOWN")
    meter = NvmlMeter(FIRST)
    assert meter.info().device_uuid == FIRST
    assert meter.info().details["pci_bus_id"].startswith("00000000:02:00")
    meter.close()


def test_an_unknown_device_names_those_that_there_are(fake_nvml: FakeNvml) -> None:
    fake_nvml.put("devices 2")
    with pytest.raises(DeviceError, match=rf"no GPU GPU-x; it sees .*{FIRST}.*{SECOND}"):
        NvmlMeter("x")


def test_an_unknown_device_names_those_that_do_not_answer_and_why(fake_nvml: FakeNvml) -> None:
    fake_nvml.put(
        "devices 3",
        "fault nvmlDeviceGetHandleByIndex_v2 0 NO_PERMISSION",
        "fault nvmlDeviceGetUUID 2 GPU_IS_LOST",
    )
    with pytest.raises(DeviceError) as caught:
        NvmlMeter("x")
    assert re.search(
        r"no GPU GPU-x; it sees NVML 0 does not answer \('Insufficient Permissions' in "
        rf"nvmlDeviceGetHandleByIndex\), Fake NVML Test GPU \({SECOND}\), NVML 2 does not answer "
        r"\('GPU is lost' in nvmlDeviceGetUUID\)\..*NO_PERMISSION means: .*capability.*"
        r"GPU_IS_LOST means: .*dmesg",
        str(caught.value),
    ), caught.value


def test_the_device_itself_that_is_lost_is_named_with_its_remedy(fake_nvml: FakeNvml) -> None:
    fake_nvml.put("devices 2", "fault * 0 GPU_IS_LOST")
    with pytest.raises(
        DeviceError,
        match=rf"GPU {FIRST}: NVML says 'GPU is lost' in nvmlDeviceGetHandleByUUID: .*a reboot is "
        rf"needed\. NVML sees NVML 0 does not answer .*{SECOND}",
    ):
        NvmlMeter(FIRST)


def test_no_uuid_is_refused_unless_simulated(fake_nvml: FakeNvml) -> None:
    with pytest.raises(DeviceError, match="needs the UUID"):
        NvmlMeter(None)
    meter = open_meter(MeterRequest("nvml", "cpu", None, {}, simulated=True))
    assert meter.info().source == "simulated"
    assert meter.info().device_uuid == FIRST
    meter.close()
    real = NvmlMeter(FIRST)
    assert real.info().source == "measured"
    real.close()


@pytest.mark.parametrize(
    ("capability", "kind"),
    [("7.5", "instant"), ("8.0", "instant"), ("8.6", "average"), ("9.0", "average")],
)
def test_the_legacy_reading_is_an_average_from_ampere_on_except_ga100(
    fake_nvml: FakeNvml, capability: str, kind: str
) -> None:
    fake_nvml.put(f"capability {capability}")
    meter = NvmlMeter(FIRST)
    field = meter.info().power_field("power_legacy_w")
    assert field.kind == kind
    assert field.lag_s == (0.5 if kind == "average" else None)
    assert meter.info().power_field("auto").column == "power_instant_w"
    meter.close()


def test_what_is_known_of_the_device_is_described(fake_nvml: FakeNvml) -> None:
    fake_nvml.put("slowdown_c 91", "limit_w 250")
    info = NvmlMeter(FIRST).info()
    assert info.slowdown_temperature_c == 91
    assert info.details["slowdown_from"] == "threshold"
    assert info.details["not_offered"] == [
        f"nvmlDeviceGetFieldValues({field}): Not Supported" for field in (74, 75, 269, 270, 271)
    ]
    assert info.driver == "580.00.00-fake"
    assert info.details["enforced_power_limit_w"] == 250
    assert info.details["vbios"] == "00.00.00.00.00"
    assert info.details["mig_mode"] is None
    fake_nvml.put("slowdown_c 0")
    info = NvmlMeter(FIRST).info()
    assert (info.slowdown_temperature_c, info.details["slowdown_from"]) == (None, None)
    fake_nvml.put("slowdown_c 0", "margin_c 31", "temp_c 52")
    info = NvmlMeter(FIRST).info()
    assert (info.slowdown_temperature_c, info.details["slowdown_from"]) == (83, "margin")


SUCCESSORS = {
    "temperature_c": ("nvmlDeviceGetTemperatureV", "nvmlDeviceGetTemperature"),
    "throttle_reasons": (
        "nvmlDeviceGetCurrentClocksEventReasons",
        "nvmlDeviceGetCurrentClocksThrottleReasons",
    ),
    "compute_processes": (
        "nvmlDeviceGetComputeRunningProcesses_v3",
        "nvmlDeviceGetComputeRunningProcesses_v2",
    ),
}


@pytest.mark.parametrize("column", SUCCESSORS)
@pytest.mark.parametrize("missing", [0, 1])
def test_a_deprecated_call_and_its_successor_stand_in_for_each_other(
    fake_nvml: FakeNvml, column: str, missing: int
) -> None:
    fault = f"fault {SUCCESSORS[column][missing]} * FUNCTION_NOT_FOUND"
    fake_nvml.put("temp_c 55", "reasons 4", "procs 4711:100", fault, "nofield 74 75 269 270 271")
    meter = NvmlMeter(FIRST)
    assert [meter.read()[name] for name in SUCCESSORS] == [55, 4, 1]
    assert not any("GetFieldValues" not in each for each in meter.info().details["not_offered"])
    meter.close()


@pytest.mark.parametrize("column", SUCCESSORS)
def test_a_driver_older_than_both_names_itself_and_the_remedy(
    fake_nvml: FakeNvml, column: str
) -> None:
    fake_nvml.put(
        "driver 450.51.06", *(f"fault {name} * FUNCTION_NOT_FOUND" for name in SUCCESSORS[column])
    )
    meter = NvmlMeter(FIRST)
    sample = meter.read()
    assert (sample.get(column), sample["failed_readings"]) == (None, 0)
    call = SUCCESSORS[column][0].removesuffix("_v3")
    (refused,) = (each for each in meter.info().details["not_offered"] if call in each)
    assert re.fullmatch(
        rf"{call}: Function Not Found \(driver 450.51.06, nvidia-ml-py [\d.]+: .*older\. "
        r"Update the driver, or install the nvidia-ml-py of its branch\.\)",
        refused,
    )
    meter.close()


def test_a_mismatch_that_pynvml_itself_finds_is_a_message(
    fake_nvml: FakeNvml, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its NVMLLibraryMismatchError is no NVMLError, and knows no driver."""

    def mismatch(*_arguments: object) -> None:
        raise pynvml.NVMLLibraryMismatchError("Unversioned function called")

    fake_nvml.put("driver 450.51.06")
    monkeypatch.setattr(pynvml, "nvmlDeviceGetPowerUsage", mismatch)
    meter = NvmlMeter(FIRST)
    assert any(POWER in each and "450.51" in each for each in meter.info().details["not_offered"])
    monkeypatch.setattr(pynvml, "nvmlDeviceGetFieldValues", mismatch)
    with pytest.raises(DeviceError, match=r"no power reading at all.*driver 450.51.06.*Update the"):
        NvmlMeter(FIRST)
    monkeypatch.setattr(pynvml, "nvmlInit", mismatch)
    with pytest.raises(DeviceError, match=r"in nvmlInit: .*nvidia-ml-py .*Update the driver"):
        NvmlMeter(FIRST)
    meter.close()


def test_a_function_that_the_installed_pynvml_does_not_have_is_not_offered(
    fake_nvml: FakeNvml, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(pynvml, "nvmlDeviceGetTemperatureV")
    meter = NvmlMeter(FIRST)
    assert meter.read()["temperature_c"] is not None
    meter.close()


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
