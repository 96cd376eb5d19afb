"""The NVML meter: the real pynvml on a library that stands in for NVIDIA's."""

import re
import time

import pynvml
import pytest

from nic_energy.errors import DeviceError
from nic_energy.meters import MeterRequest, open_meter
from nic_energy.meters.nvml import NvmlMeter
from tests.fake_nvml import FIRST, SECOND, FakeNvml

POWER = "nvmlDeviceGetPowerUsage"


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
