"""Faults on the virtual GPU: what is repeated, what ends a modality, what is kept."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nic_energy.errors import MeasurementError, MeterError, MismatchError, NicEnergyError
from nic_energy.store import RawStore
from nic_energy.traces import Trace, read_trace
from tests.measure.virtual import (
    ONE_IMAGE,
    QUICK,
    Campaign,
    by_estimator,
    config_of,
    flags_of,
    quick,
    simulated,
    since_opening,
)


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    return quick(tmp_path_factory.mktemp("clean"))


def failed_attempt(folder: Path, error: type[NicEnergyError], *faults: Mapping[str, Any]) -> Trace:
    """The one attempt of a campaign that ends with an error."""
    with pytest.raises(error):
        quick(folder, *faults)
    assert not list((folder / "traces").rglob("*.parquet"))
    (kept,) = RawStore(folder).attempts("chain/mbt2018/q3/only")
    return read_trace(kept.path)


def test_an_error_ends_the_attempt_which_is_kept(tmp_path: Path) -> None:
    kept = failed_attempt(tmp_path, MeterError, {"kind": "error", "at_s": 30, "duration_s": 5})
    assert kept.meta.outcome == "failed"
    assert kept.meta.error is not None
    assert kept.meta.error.startswith("MeterError: virtual Turing")
    assert kept.meta.modality is not None
    assert kept.samples.num_rows > 150


def test_a_short_dropout_within_a_window_is_bridged(tmp_path: Path, clean: Campaign) -> None:
    found = quick(tmp_path, {"kind": "dropout", "at_s": 29, "duration_s": 0.3})
    power = found.traces[0].column("power_instant_w")
    assert np.isnan(power).sum() == pytest.approx(3, abs=1)
    assert all(window.admissible for window in found.metas[0].windows)
    one, two = by_estimator(found)["energy_j"], by_estimator(clean)["energy_j"]
    assert one["trapezoid"] == pytest.approx(two["trapezoid"], rel=0.005)
    assert one["counter"] == pytest.approx(two["counter"], rel=0.005)


def test_a_dropout_over_the_end_of_a_window_has_it_measured_again(
    tmp_path: Path, clean: Campaign
) -> None:
    ends_s = since_opening(clean, clean.metas[0].windows[2].end_s)
    found = quick(tmp_path, {"kind": "dropout", "at_s": ends_s - 0.4, "duration_s": 1})
    windows = found.metas[0].windows
    assert [w.flags for w in windows if not w.admissible] == [("too_few_samples",)]
    assert "windows_rejected" in flags_of(found)
    row = found.tables().energy.iloc[0]
    assert (row["repetitions"], row["repetitions_rejected"]) == (len(windows) - 1, 1)
    assert row["energy_j"] == pytest.approx(clean.tables().energy["energy_j"][0], rel=0.01)


def test_a_reading_that_fails_once_has_its_window_measured_again(
    tmp_path: Path, clean: Campaign
) -> None:
    found = quick(tmp_path, {"kind": "timeout", "at_s": 29, "duration_s": 0.15})
    assert left_out(found) == [("failed_readings",)]
    assert np.nansum(found.traces[0].column("failed_readings")) > 0
    row, undisturbed = (each.tables().energy.iloc[0] for each in (found, clean))
    assert (row["rejected_for"], row["repetitions_rejected"]) == ("failed_readings", 1)
    assert row["energy_j"] == pytest.approx(undisturbed["energy_j"], rel=0.01)


def test_a_failing_thermometer_does_not_end_preheating(tmp_path: Path) -> None:
    protocol = {**QUICK, "preheat_celsius": 70}
    networks = [{"name": "mbt2018", "qualities": [3]}]
    faults = [{"kind": "timeout", "at_s": at, "duration_s": 1.5} for at in range(8, 20, 3)]
    config = config_of(protocol, {"faults": faults}, networks=networks)
    found = simulated(tmp_path, config, ONE_IMAGE)
    assert found.metas[0].preheat["outcome"] == "reached"
    assert found.metas[0].preheat["end_c"] >= 70


def test_a_rest_that_cannot_be_right_is_recorded_again(tmp_path: Path, clean: Campaign) -> None:
    """The paired idle is the last thing that is recorded."""
    mark = next(m for m in clean.metas[0].intervals if m.phase == "idle_paired")
    at_s = since_opening(clean, mark.start_s) + 0.5
    found = quick(tmp_path, {"kind": "zero", "at_s": at_s, "duration_s": 0.5})
    phases = [m.phase for m in found.metas[0].intervals][-4:]
    assert phases == ["settle", "idle_rejected", "settle", "idle_paired"]
    one, two = (each.tables(idle_kind="paired").energy.iloc[0] for each in (found, clean))
    cold_w = clean.tables().energy["idle_power_w"][0]
    assert cold_w < one["idle_power_w"] < two["idle_power_w"]  # it went on calming down meanwhile
    assert "paired_idle_rejected" not in flags_of(found)


def test_a_rest_that_is_never_right_leaves_no_idle_and_says_so(
    tmp_path: Path, clean: Campaign
) -> None:
    mark = next(m for m in clean.metas[0].intervals if m.phase == "idle_paired")
    at_s = since_opening(clean, mark.start_s) + 0.5
    found = quick(tmp_path, {"kind": "zero", "at_s": at_s})
    assert "paired_idle_rejected" in flags_of(found)
    row, undisturbed = (each.tables().energy.iloc[0] for each in (found, clean))
    assert row["energy_j"] == pytest.approx(undisturbed["energy_j"], rel=1e-6)
    with pytest.raises(MismatchError, match=r"holds no paired idle.*flag paired_idle_rejected"):
        found.tables(idle_kind="paired")


def test_a_meter_that_stays_dark_fails_with_its_windows_kept(tmp_path: Path) -> None:
    kept = failed_attempt(tmp_path, MeasurementError, {"kind": "dropout", "at_s": 25})
    assert kept.meta.error is not None
    assert "too_few_samples" in kept.meta.error
    assert sum(not window.admissible for window in kept.meta.windows) == 11


def test_a_short_freeze_under_steady_load_does_no_harm_and_is_not_flagged(
    tmp_path: Path, clean: Campaign
) -> None:
    """The counter stands still too and then makes up for it; the power shown is that of the load
    before, which is the load still.
    """
    found = quick(tmp_path, {"kind": "freeze", "at_s": 29, "duration_s": 1})
    assert "counter_disagrees" not in flags_of(found)
    one, two = by_estimator(found)["energy_j"], by_estimator(clean)["energy_j"]
    for name in ("trapezoid", "counter"):
        assert one[name] == pytest.approx(two[name], rel=0.01)


def left_out(campaign: Campaign) -> list[tuple[str, ...]]:
    return [window.flags for window in campaign.metas[0].windows if not window.admissible]


def test_a_frozen_sensor_has_the_window_measured_again(tmp_path: Path, clean: Campaign) -> None:
    """It stops before a window and shows one value all through it, with a time stamp that stands
    still.
    """
    second, third = clean.metas[0].windows[1:3]
    rest_s = since_opening(clean, third.start_s - 1.15)
    assert rest_s > since_opening(clean, second.end_s)
    found = quick(tmp_path, {"kind": "freeze", "at_s": rest_s, "duration_s": 8})
    assert {"stale_readings"} <= {flag for flags in left_out(found) for flag in flags}
    one, two = by_estimator(found)["energy_j"], by_estimator(clean)["energy_j"]
    for name in ("counter", "trapezoid"):
        assert one[name] == pytest.approx(two[name], rel=0.01)
    row = found.tables().energy.iloc[0]
    assert "stale_readings" in row["rejected_for"]
    assert abs(row["energy_all_windows_j"] / row["energy_j"] - 1) > 1e-4


def test_a_sensor_that_stays_frozen_ends_the_modality(tmp_path: Path) -> None:
    kept = failed_attempt(tmp_path, MeasurementError, {"kind": "freeze", "at_s": 29})
    assert "stale_readings 11 times" in str(kept.meta.error)


def test_a_counter_that_is_reset_in_a_window_has_it_measured_again(
    tmp_path: Path, clean: Campaign
) -> None:
    found = quick(tmp_path, {"kind": "counter_reset", "at_s": 30})
    assert left_out(found) == [("counter_reset",)]
    one, two = by_estimator(found)["energy_j"], by_estimator(clean)["energy_j"]
    for name in ("counter", "trapezoid"):
        assert one[name] == pytest.approx(two[name], rel=0.01)


@pytest.mark.parametrize(
    ("kind", "value", "flag"),
    [
        ("zero", 0, "implausible_readings"),
        ("processes", 1, "other_processes"),
        ("clock", 0.2, "clock_changed"),
        ("state", 2, "performance_state_changed"),
        ("clock_step", 3600, "clock_step"),
        ("throttle", 0.4, "throttled"),
    ],
)
def test_a_disturbance_has_its_windows_measured_again(
    tmp_path: Path, clean: Campaign, kind: str, value: float, flag: str
) -> None:
    found = quick(tmp_path, {"kind": kind, "at_s": 29, "duration_s": 4, "value": value})
    assert left_out(found)
    assert all(flag in flags for flags in left_out(found))
    row, undisturbed = (each.tables().energy.iloc[0] for each in (found, clean))
    assert row["rejected_for"] == flag
    assert "windows_rejected" in row["flags"].split(";")
    assert flag not in row["flags"].split(";")
    assert row["energy_j"] == pytest.approx(undisturbed["energy_j"], rel=0.01)
    assert undisturbed["energy_all_windows_j"] == undisturbed["energy_j"]


@pytest.mark.parametrize(
    ("kind", "value", "flag"),
    [("zero", 0, "implausible_readings"), ("processes", 1, "other_processes"),
     ("throttle", 0.4, "throttled")],
)  # fmt: skip
def test_a_disturbance_that_stays_ends_the_modality_with_all_windows_kept(
    tmp_path: Path, kind: str, value: float, flag: str
) -> None:
    fault = {"kind": kind, "at_s": 29, "value": value}
    kept = failed_attempt(tmp_path, MeasurementError, fault)
    assert f"{flag} 11 times" in str(kept.meta.error)
    assert sum(not window.admissible for window in kept.meta.windows) == 11


def test_a_chip_that_still_warms_leaves_its_first_windows_behind(tmp_path: Path) -> None:
    networks = [{"name": "mbt2018", "qualities": [3]}]
    protocol = {**QUICK, "temperature_band_celsius": 3}
    found = simulated(
        tmp_path, config_of(protocol, {"noise_percent": 0.05}, networks=networks), ONE_IMAGE
    )
    flags = [window.flags for window in found.metas[0].windows]
    first_sound = flags.index(())
    assert first_sound > 3
    assert set(flags[:first_sound]) == {("temperature_outside_band",)}
    assert not any(flags[first_sound:])


def test_a_counter_that_is_reset_between_windows_is_as_good_as_before(
    tmp_path: Path, clean: Campaign
) -> None:
    between_s = since_opening(clean, clean.metas[0].windows[2].start_s - 0.6)
    found = quick(tmp_path, {"kind": "counter_reset", "at_s": between_s})
    assert (np.diff(found.traces[0].column("energy_counter_j")) < 0).sum() == 1
    one, two = by_estimator(found).loc["counter"], by_estimator(clean).loc["counter"]
    for column in ("energy_j", "energy_gross_j", "u_combined_j", "u_edges_j"):
        assert one[column] == pytest.approx(two[column], rel=1e-6)


def test_a_spike_is_seen_by_the_counter(tmp_path: Path, clean: Campaign) -> None:
    found = quick(tmp_path, {"kind": "spike", "at_s": 22, "duration_s": 60, "value": 8})
    assert "counter_disagrees" in flags_of(found)
    assert "counter_disagrees" not in flags_of(clean)
    one, two = by_estimator(found)["energy_j"], by_estimator(clean)["energy_j"]
    assert one["counter"] == pytest.approx(two["counter"])
    assert one["trapezoid"] > 1.03 * two["trapezoid"]


def test_a_row_whose_witnesses_disagree_is_as_uncertain_as_they_are_apart(
    tmp_path: Path, clean: Campaign
) -> None:
    """A sensor that shows too much all through a modality scatters no window."""
    found = quick(tmp_path, {"kind": "spike", "at_s": 10, "value": 12})
    row, undisturbed = (each.tables().energy.iloc[0] for each in (found, clean))
    off_j = row["energy_j"] - undisturbed["energy_j"]
    apart_j = row["energy_j"] - by_estimator(found)["energy_j"]["counter"]
    assert off_j > 0.05 * undisturbed["energy_j"]
    assert row["u_disagreement_j"] == pytest.approx(apart_j / np.sqrt(3))
    assert row["dominating_uncertainty"] == "disagreement"
    assert off_j < row["expanded_uncertainty_j"]
    assert undisturbed["u_disagreement_j"] == 0
    counted = by_estimator(found).loc["counter"]
    assert counted["u_disagreement_j"] == pytest.approx(apart_j / np.sqrt(3))
