"""The keys of the virtual GPU, of calibration and of the idles."""

from typing import Any

import pytest

from nic_energy.config import resolve
from nic_energy.config.schema import read_schema
from nic_energy.errors import ConfigError
from nic_energy.meters.virtual import read_preset, read_workload
from nic_energy.meters.virtual.meter import FAULTS

VIRTUAL: dict[str, Any] = {"device": "virtual", "meter": "virtual"}


def virtual(**options: Any) -> dict[str, Any]:
    return {**VIRTUAL, "virtual": options}


def calibration(**options: Any) -> dict[str, Any]:
    return {"calibration": options}


def test_the_defaults_of_the_virtual_gpu_exist() -> None:
    options = resolve(VIRTUAL).document["virtual"]
    assert read_preset(options["gpu"]).key == "turing"
    assert len(read_workload(options["workload"])) == 12
    assert (options["noise_correlation_s"], options["drift_percent_per_hour"]) == (0, 0)
    assert options["faults"] == []
    assert resolve(VIRTUAL).document["calibration"] is None


def test_a_fault_is_filled_in() -> None:
    found = resolve(virtual(faults=[{"kind": "spike", "at_s": 3, "value": 20}]))
    (fault,) = found.document["virtual"]["faults"]
    assert fault == {"kind": "spike", "at_s": 3, "value": 20, "duration_s": 1e9}


def test_the_faults_of_the_configuration_are_those_of_the_meter() -> None:
    faults = read_schema()["properties"]["virtual"]["properties"]["faults"]
    assert tuple(faults["items"]["properties"]["kind"]["enum"]) == FAULTS
    for kind in FAULTS:
        resolve(virtual(faults=[{"kind": kind, "at_s": 0}]))


def test_all_options_are_taken() -> None:
    options: dict[str, Any] = {
        "gpu": "ada",
        "workload": "my.csv",
        "noise_percent": 0,
        "noise_correlation_s": 30,
        "drift_percent_per_hour": -0.5,
        "residual_seed": 4,
        "load_s": 0,
        "faults": [{"kind": "dropout", "at_s": 10, "duration_s": 0.5}],
    }
    found = resolve(virtual(**options)).document["virtual"]
    assert {key: found[key] for key in options if key != "faults"} == {
        key: value for key, value in options.items() if key != "faults"
    }


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (virtual(noise=1), r"virtual\.noise: there is no such key.*noise_percent"),
        (virtual(noise_percent=-1), r"virtual\.noise_percent: -1"),
        (virtual(noise_correlation_s=-1), r"virtual\.noise_correlation_s: -1"),
        (virtual(gpu=3090), r"virtual\.gpu: 3090"),
        (virtual(residual_seed=-1), r"virtual\.residual_seed: -1"),
        (virtual(load_s="long"), r"virtual\.load_s: 'long'"),
        (virtual(faults=[{"kind": "spike"}]), r"virtual\.faults\.0: 'at_s' is a required"),
        (virtual(faults=[{"at_s": 1}]), r"virtual\.faults\.0: 'kind' is a required"),
        (
            virtual(faults=[{"kind": "fire", "at_s": 1}]),
            r"virtual\.faults\.0\.kind: 'fire' .*error, dropout, freeze, spike",
        ),
        (virtual(faults=[{"kind": "spike", "at_s": -1}]), r"virtual\.faults\.0\.at_s: -1"),
        (
            virtual(faults=[{"kind": "spike", "at_s": 1, "duration_s": 0}]),
            r"virtual\.faults\.0\.duration_s: 0",
        ),
        (
            virtual(faults=[{"kind": "spike", "at_s": 1, "watts": 0}]),
            r"virtual\.faults\.0\.watts: there is no such key",
        ),
    ],
)
def test_a_wrong_key_of_the_virtual_gpu_is_named(document: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve(document)


def test_a_calibration_is_whole_and_filled_in() -> None:
    found = resolve(calibration(gain=0.92, gain_u=0.004)).document["calibration"]
    expected = {"gain": 0.92, "gain_u": 0.004, "offset_w": 0, "reference": ""}
    assert {**found, **expected} == found
    nothing_stated = {"device_uuid": None, "estimator": None, "power_field": None, "sees": None}
    assert {**found, **nothing_stated} == found
    given = {
        "gain": 1.04, "gain_u": 0, "offset_w": -22.0, "reference": "power analyser",
        "device_uuid": "GPU-1", "estimator": "paper_sum", "power_field": "power_instant_w",
        "sees": "board",
    }  # fmt: skip
    found = resolve(calibration(**given)).document["calibration"]
    assert {**found, **given} == found


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (calibration(gain=0.92), r"calibration: 'gain_u' is a required"),
        (calibration(gain_u=0.1), r"calibration: 'gain' is a required"),
        (calibration(gain=0, gain_u=0.1), r"calibration\.gain: 0"),
        (calibration(gain=1, gain_u=-0.1), r"calibration\.gain_u: -0\.1"),
        (calibration(gain=1, gain_u=0.1, offset="none"), r"calibration\.offset: there is no such"),
        ({"calibration": 0.92}, r"calibration: 0\.92"),
        (calibration(gain=1, gain_u=0, sees="plug"), r"calibration\.sees: 'plug'"),
        (calibration(gain=1, gain_u=0, estimator="counter"), "is of counter, but estimator is tra"),
        (
            {**calibration(gain=1, gain_u=0, estimator="paper_sum"), "estimator": "counter"},
            "is of paper_sum, but estimator is counter",
        ),
        (
            {
                **calibration(gain=1, gain_u=0, power_field="power_instant_w"),
                "power_field": "power_average_w",
            },
            r"calibration\.power_field: power_instant_w, but power_field is power_average_w",
        ),
        (
            calibration(gain=1, gain_u=0, power_field="power_instant_w", estimator="counter"),
            "counter, which reads no power field",
        ),
    ],
)
def test_a_wrong_calibration_is_named(document: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve(document)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"device": "cpu", "meter": "virtual"}, r"meter: virtual does not meter.* cpu.*rapl"),
        ({"device": "cuda:0", "meter": "virtual"}, r"meter: virtual does not meter.*nvml"),
        ({"device": "virtual", "meter": "nvml"}, r"meter: nvml does not meter.*virtual"),
        ({"device": "virtual", "meter": "cpu_load"}, r"For this device: virtual"),
        ({"device": "virtual:0", "meter": "virtual"}, r"device: 'virtual:0'"),
    ],
)
def test_the_virtual_meter_meters_the_virtual_gpu_only(
    document: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve(document)


@pytest.mark.parametrize("kind", ["context", "paired"])
def test_an_idle_that_is_not_recorded_cannot_be_subtracted(kind: str) -> None:
    protocol = {"idle_kind": kind, f"{kind}_idle_s": 0}
    with pytest.raises(ConfigError, match=rf"protocol\.{kind}_idle_s: must be more than 0"):
        resolve({"protocol": protocol})
    other = "paired" if kind == "context" else "context"
    assert resolve({"protocol": {"idle_kind": kind, f"{other}_idle_s": 0}}).protocol.idle_kind
    assert resolve({"protocol": {"idle_kind": "cold", f"{kind}_idle_s": 0}})


def test_what_is_subtracted_measures_nothing_anew_but_what_is_recorded_does() -> None:
    def settings(**changes: Any) -> dict[str, Any]:
        return resolve({**VIRTUAL, **changes}).settings()

    plain = settings()
    assert settings(protocol={"idle_kind": "paired"}) == plain
    assert settings(calibration={"gain": 0.92, "gain_u": 0.0}) == plain
    assert settings(protocol={"paired_idle_s": 0}) != plain
    assert settings(virtual={"noise_percent": 2}) != plain
    assert settings(virtual={"faults": [{"kind": "error", "at_s": 1}]}) != plain
    assert "virtual" not in resolve({}).settings()


def test_images_of_mere_sizes_need_their_table() -> None:
    with pytest.raises(ConfigError, match=r"images\.path: must be given for images\.source sizes"):
        resolve({"images": {"source": "sizes"}})
    assert resolve({"images": {"source": "sizes", "path": "sizes.csv"}}).images.source == "sizes"
