"""A trace evaluated: what a calibration does, and when counter and power disagree."""

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nic_energy.energy.estimates import Calibration, Evaluated, check_calibration, evaluate
from nic_energy.energy.estimators import COUNTER
from nic_energy.energy.idle import IdleMean, IdlePower
from nic_energy.energy.rows import CampaignFindings, energy_row, estimator_rows
from nic_energy.errors import MismatchError
from nic_energy.meters.virtual import Preset, read_preset
from nic_energy.traces import FloatArray, Trace, samples_table
from nic_energy.vocabulary import ESTIMATORS, EstimatorName
from tests.energy.test_uncertainty import POWER_W, Recorded, recorded

SETTINGS: dict[str, Any] = {
    "protocol": {
        "sampling_hz": 10.0,
        "confidence": 0.99,
        "relative_width": 0.02,
        "interval": "two_sided",
        "min_repetitions": 5,
        "max_repetitions": 50,
    }
}
WINDOWS_S = [5.2] * 5


def found_by(record: Recorded, calibration: Calibration | None = None) -> Evaluated:
    """The record evaluated with the cold idle as its sensor shows it."""
    idle = IdleMean(record.idle_w, 0.05, 7.0)
    cold = IdlePower("cold", "session", {record.field.column: idle, COUNTER: idle})
    return evaluate(record.trace, cold, record.field, calibration)


def with_meta(record: Recorded) -> Recorded:
    """With settings that a stopping rule can be made of."""
    meta = replace(record.trace.meta, settings=SETTINGS)
    return replace(record, trace=Trace(record.trace.samples, meta))


def rows(
    preset: Preset, count: int, seed: int, windows_s: list[float] = WINDOWS_S, hz: float = 10.0
) -> Iterator[tuple[Recorded, Evaluated]]:
    """Modalities of executions from 20 to 700 ms without any fault."""
    random = np.random.default_rng(seed)
    for number in range(count):
        execution_s = float(np.exp(random.uniform(math.log(0.02), math.log(0.7))))
        record = recorded(preset, 100 * seed + number, windows_s, execution_s, hz)
        yield record, found_by(record)


def off_by(preset: Preset, factor: float) -> Preset:
    """The preset with a counter whose gain is not the sensor's."""
    return replace(preset, counter=replace(preset.counter, gain=factor * preset.counter.gain))


def true_dynamic_j(record: Recorded) -> FloatArray:
    lasts = np.array([window.duration_s for window in record.windows])
    executions = np.array([window.executions for window in record.windows])
    return np.asarray((record.true_j - record.preset.idle_w * lasts) / executions)


def test_a_calibration_corrects_energies_idle_and_uncertainties() -> None:
    record = recorded("ada", 1, WINDOWS_S)
    plain, better = found_by(record), found_by(record, Calibration(1.04, 0.01, -22.0))
    lasts = np.array([w.duration_s / w.executions for w in record.windows])
    assert set(plain.estimates) == set(ESTIMATORS)
    for name in ESTIMATORS:
        raw, corrected = plain.estimates[name], better.estimates[name]
        assert corrected.dynamic_j == pytest.approx(raw.dynamic_j / 1.04)
        gross = raw.gross_j / 1.04 + 22.0 * lasts / 1.04
        assert corrected.gross_j == pytest.approx(gross, rel=0.02 if name == "paper_sum" else 1e-9)
        assert corrected.idle.power_w == pytest.approx(record.preset.idle_w)
        assert corrected.idle.uncertainty_w == pytest.approx(0.05 / 1.04)
        assert corrected.idle.degrees_of_freedom == 7
        assert corrected.edges.windows_j == pytest.approx(raw.edges.windows_j / 1.04)
        assert corrected.edges.common_j == pytest.approx(raw.edges.common_j / 1.04)


def test_calibrated_energies_are_the_true_ones_gross_and_dynamic() -> None:
    record = recorded("ada", 2, [8.0] * 12)
    executions = np.array([window.executions for window in record.windows])
    found = found_by(record, Calibration(1.04, 0.0, -22.0))
    for name in ("trapezoid", "counter"):
        estimate = found.estimates[name]
        error_j = 4 * np.std(estimate.gross_j) / math.sqrt(12) + 1e-3 * record.true_j[0] / 200
        assert estimate.gross_j.mean() == pytest.approx(
            np.mean(record.true_j / executions), abs=error_j
        )
        assert estimate.dynamic_j.mean() == pytest.approx(
            true_dynamic_j(record).mean(), abs=error_j
        )
    raw = found_by(record).estimates["trapezoid"]
    assert raw.dynamic_j.mean() == pytest.approx(1.04 * true_dynamic_j(record).mean(), rel=0.003)
    assert raw.gross_j.mean() < 0.92 * np.mean(record.true_j / executions)


def test_rows_say_whether_they_are_calibrated_and_carry_the_gains_uncertainty() -> None:
    record = with_meta(recorded("turing", 3, WINDOWS_S))
    calibration = Calibration(0.92, 0.0046)
    nothing: dict[Any, Any] = {}
    made = []
    for given in (None, calibration):
        found, campaign = found_by(record, given), CampaignFindings(nothing, nothing, nothing)
        rows = estimator_rows(found, campaign)
        assert len(rows) == 3
        chosen = found.estimates["trapezoid"]
        made.append(energy_row(found, chosen, rows["trapezoid"], None, {}))
    raw, calibrated = made
    assert (raw["calibrated"], calibrated["calibrated"]) == (False, True)
    assert raw["u_gain_j"] is None
    assert calibrated["u_gain_j"] == pytest.approx(0.005 * calibrated["energy_j"])
    for name in ("energy_j", "energy_gross_j", "energy_std_j", "u_repeatability_j", "u_edges_j"):
        assert calibrated[name] == pytest.approx(raw[name] / 0.92), name
    assert calibrated["u_idle_j"] == pytest.approx(raw["u_idle_j"] / 0.92)
    assert calibrated["idle_power_w"] == pytest.approx(12.0)
    assert calibrated["ci_half_width_percent"] == pytest.approx(raw["ci_half_width_percent"])
    assert calibrated["converged"] == raw["converged"]
    combined = math.hypot(raw["u_combined_j"] / 0.92, calibrated["u_gain_j"])
    assert calibrated["u_combined_j"] == pytest.approx(combined)


@pytest.mark.parametrize(
    ("stated", "served"),
    [
        ({}, {"paper_sum", "trapezoid", "counter"}),
        ({"estimator": "trapezoid"}, {"paper_sum", "trapezoid"}),
        (
            {"estimator": "paper_sum", "power_field": "power_instant_w"},
            {"paper_sum", "trapezoid"},
        ),
        ({"power_field": "power_instant_w"}, {"paper_sum", "trapezoid"}),
        ({"estimator": "trapezoid", "power_field": "power_average_w"}, set()),
        ({"estimator": "counter"}, {"counter"}),
    ],
)
def test_a_calibration_corrects_only_what_was_calibrated(
    stated: dict[str, Any], served: set[EstimatorName]
) -> None:
    record = with_meta(recorded("turing", 3, WINDOWS_S))
    plain, found = found_by(record), found_by(record, Calibration(0.92, 0.0046, **stated))
    rows = estimator_rows(found, CampaignFindings({}, {}, {}))
    for name in ESTIMATORS:
        gain = 0.92 if name in served else 1.0
        expected = plain.estimates[name].dynamic_j / gain
        assert found.estimates[name].dynamic_j == pytest.approx(expected)
        assert found.estimates[name].idle.power_w == pytest.approx(record.idle_w / gain)
        assert (rows[name]["u_gain_j"] is not None) == (name in served)
        chosen = energy_row(found, found.estimates[name], rows[name], None, {})
        assert chosen["calibrated"] == (name in served)


def test_what_one_sensor_alone_is_corrected_by_is_no_disagreement() -> None:
    record = recorded("turing", 3, WINDOWS_S)
    assert not found_by(record, Calibration(0.92, 0.0, estimator="trapezoid")).disagrees
    apart = recorded(off_by(read_preset("turing"), 1.05), 3, WINDOWS_S)
    plain = found_by(apart)
    assert plain.disagrees
    both: tuple[EstimatorName, EstimatorName] = ("trapezoid", "counter")
    cases: list[tuple[EstimatorName | None, tuple[float, float]]] = [
        ("trapezoid", (0.92, 1.0)),
        ("counter", (1.0, 0.92)),
        (None, (0.92, 0.92)),
    ]
    for own, gains in cases:
        found = found_by(apart, Calibration(0.92, 0.0, estimator=own))
        assert found.disagrees
        for name, gain in zip(both, gains, strict=True):
            raw = plain.disagreement_j(name)
            assert raw is not None
            assert found.disagreement_j(name) == pytest.approx(raw / gain)


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ({"device_uuid": "GPU-other"}, r"x\.parquet: was measured on .*device_uuid is GPU-other"),
        ({"estimator": "counter"}, r"trapezoid reads power_instant_w.* of the energy counter,"),
        (
            {"power_field": "power_average_w"},
            r"reads power_instant_w.* of a power field \(power_average_w\)",
        ),
    ],
)
def test_a_calibration_of_something_else_is_refused(stated: dict[str, Any], message: str) -> None:
    record = recorded("turing", 3, WINDOWS_S)
    calibration = Calibration(0.92, 0.0, **stated)
    found = found_by(record, calibration)
    with pytest.raises(MismatchError, match=message):
        check_calibration(Path("x.parquet"), found.meta, found.estimates["trapezoid"], calibration)
    own = replace(
        calibration,
        device_uuid=found.meta.meter.device_uuid,
        estimator="trapezoid",
        power_field="power_instant_w",
    )
    check_calibration(Path("x.parquet"), found.meta, found.estimates["trapezoid"], own)


@pytest.mark.parametrize("preset", ["turing", "ampere", "ada"])
def test_without_a_fault_counter_and_power_agree(preset: str) -> None:
    alarms = [found.disagrees for _, found in rows(read_preset(preset), 120, seed=1)]
    assert np.mean(alarms) <= 0.03


def test_more_windows_raise_no_more_alarms() -> None:
    many = rows(read_preset("turing"), 25, seed=2, windows_s=[5.2] * 30)
    assert sum(found.disagrees for _, found in many) <= 1
    few = rows(read_preset("turing"), 60, seed=3, windows_s=[5.2] * 2)
    assert sum(found.disagrees for _, found in few) <= 2


def test_what_a_part_time_sensor_gets_wrong_by_aliasing_is_an_alarm_with_a_cause() -> None:
    alarms, wrong = [], []
    for record, found in rows(read_preset("a100"), 150, seed=4):
        alarms.append(found.disagrees)
        error = found.estimates["trapezoid"].dynamic_j / 0.943 / true_dynamic_j(record) - 1
        wrong.append(float(np.abs(error).max()))
    assert np.mean(alarms) <= 0.05
    flagged, rest = (np.array(wrong)[np.array(alarms) == flag] for flag in (True, False))
    assert len(flagged) >= 1
    assert flagged.min() > 2 * np.median(rest)


def test_a_counter_that_sees_all_is_not_at_odds_with_a_sensor_that_sees_a_fifth() -> None:
    """Its edges are small then; what the sensor did not see must be allowed for."""
    part_time = read_preset("turing_20ms")
    counter = replace(part_time.counter, tick_s=0.02, jitter_s=0.0005)
    made = rows(replace(part_time, counter=counter), 40, seed=9, hz=50)
    assert np.mean([found.disagrees for _, found in made]) < 0.15


@pytest.mark.parametrize(("preset", "share"), [("turing", 0.75), ("ampere", 0.75), ("ada", 0.95)])
@pytest.mark.parametrize("factor", [0.97, 1.03])
def test_a_counter_that_counts_three_percent_wrong_is_found(
    preset: str, share: float, factor: float
) -> None:
    wrong = off_by(read_preset(preset), factor)
    assert np.mean([found.disagrees for _, found in rows(wrong, 40, seed=5)]) >= share


def test_the_smaller_the_error_the_more_windows_it_takes() -> None:
    wrong = off_by(read_preset("turing"), 1.015)
    few = [found.disagrees for _, found in rows(wrong, 30, 6)]
    many = [found.disagrees for _, found in rows(wrong, 30, 6, [5.2] * 20)]
    assert np.mean(few) < 0.5
    assert np.mean(many) > 0.9


def test_a_single_bad_window_is_found() -> None:
    record = recorded("turing", 7, [5.2] * 8)
    bad = record.windows[4]
    samples: list[dict[str, Any]] = record.trace.samples.to_pylist()
    for sample in samples:
        if bad.start_s - 0.5 < sample["time_s"] < bad.end_s + 0.5:
            sample["power_instant_w"] += 12.0
    spiked = replace(record, trace=Trace(samples_table(samples), record.trace.meta))
    assert not found_by(record).disagrees
    assert found_by(spiked).disagrees


def test_without_a_counter_nothing_disagrees() -> None:
    record = recorded("turing", 8, WINDOWS_S)
    blind: list[dict[str, Any]] = [
        {**sample, "energy_counter_j": None} for sample in record.trace.samples.to_pylist()
    ]
    found = found_by(replace(record, trace=Trace(samples_table(blind), record.trace.meta)))
    assert set(found.estimates) == {"paper_sum", "trapezoid"}
    assert not found.disagrees


def test_without_an_idle_there_are_no_energies() -> None:
    record = recorded("turing", 9, WINDOWS_S)
    found = evaluate(record.trace, None, record.field, None)
    assert found.estimates == {}
    assert not found.disagrees
    other = IdlePower("cold", "session", {"power_average_w": IdleMean(11.0, 0.1, 7.0)})
    assert evaluate(record.trace, other, record.field, None).estimates == {}


def test_temperature_and_clock_are_means_over_each_window() -> None:
    record = recorded("turing", 10, WINDOWS_S)
    found = found_by(record)
    hot = record.preset.settled_c(record.preset.idle_w + POWER_W)
    assert found.temperatures_c == pytest.approx([hot] * 5, abs=1.5)
    assert found.clocks_mhz.tolist() == [1545.0] * 5
    assert found.windows == record.windows
