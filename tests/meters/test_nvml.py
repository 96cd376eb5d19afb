"""The NVML meter: the real pynvml on a library that stands in for NVIDIA's."""

import time
from typing import Any

import pynvml
import pytest

from nic_energy.errors import DeviceError, MeterError
from nic_energy.meters import MeterRequest, open_meter
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
    fake_nvml.put("nofield 185 186", "fault nvmlDeviceGetTemperature * NOT_SUPPORTED")
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


def test_an_unknown_device_names_those_that_there_are(fake_nvml: FakeNvml) -> None:
    fake_nvml.put("devices 2")
    with pytest.raises(DeviceError, match=rf"no GPU GPU-x; it sees .*{FIRST}.*{SECOND}"):
        NvmlMeter("x")


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
    assert info.driver == "580.00.00-fake"
    assert info.details["enforced_power_limit_w"] == 250
    assert info.details["vbios"] == "00.00.00.00.00"
    assert info.details["mig_mode"] is None
    fake_nvml.put("slowdown_c 0")
    assert NvmlMeter(FIRST).info().slowdown_temperature_c is None


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
        NvmlMeter(FIRST)


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
