"""The whole chain against a GPU whose true energy is known: estimators and intervals.

The benchmarks do the same at length and write the tables of docs/; here are fewer windows, fewer
campaigns, and limits.
"""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.campaigns import PRESETS, grey_images
from benchmarks.coverage import campaign, sizes
from benchmarks.estimators import WAYS, WINDOWS, durations, measure
from nic_energy.meters.virtual import read_preset

HERE, FROM_REST = WAYS


@pytest.mark.parametrize("name", PRESETS)
def test_with_lead_in_and_random_phase_no_estimator_is_biased(name: str) -> None:
    preset = read_preset(name)
    found = measure(preset, HERE, durations(preset)[0], seed=11)
    assert {errors.estimator for errors in found} == {"paper_sum", "trapezoid", "counter"}
    for errors in found:
        limit = 4 * errors.percent.std(ddof=1) / np.sqrt(WINDOWS) + 0.1
        assert abs(errors.percent.mean()) < limit, (errors.column, errors.estimator)


def test_the_interpolated_energy_scatters_less_than_the_papers_sum() -> None:
    preset = read_preset("turing")
    spread = {
        errors.estimator: errors.percent.std(ddof=1)
        for errors in measure(preset, HERE, durations(preset)[1], seed=12)
        if errors.column == "power_instant_w"
    }
    assert spread["trapezoid"] < 0.5 * spread["paper_sum"]


def test_random_phases_turn_the_aliasing_of_a_part_time_sensor_from_bias_into_scatter() -> None:
    preset = read_preset("turing_20ms")
    aliased = durations(preset)[2]
    by_name = {
        errors.estimator: errors.percent
        for errors in measure(preset, HERE, aliased, seed=13)
        if errors.column == "power_instant_w"
    }
    assert by_name["trapezoid"].std(ddof=1) > 5
    assert abs(by_name["trapezoid"].mean()) < 3 * by_name["trapezoid"].std() / np.sqrt(WINDOWS)
    assert abs(by_name["counter"].mean()) < 0.5


@pytest.mark.parametrize("name", ["ampere", "hopper"])
def test_an_averaged_column_understates_a_window_that_follows_rest(name: str) -> None:
    preset = read_preset(name)
    averaged = [
        errors
        for errors in measure(preset, FROM_REST, durations(preset)[0], seed=14)
        if errors.column == "power_average_w" and errors.estimator == "paper_sum"
    ]
    assert len(averaged) == 1
    assert -15 < averaged[0].percent.mean() < -5


def test_intervals_of_whole_campaigns_hold_the_truth(tmp_path: Path) -> None:
    grey_images(sizes(), tmp_path)
    found = [campaign("ampere", seed, tmp_path) for seed in range(501, 507)]
    energies = float(np.mean([each.energies for each in found]))
    assert 0.90 < energies < 0.995
    lines = [held for each in found for held in (*each.alpha, *each.beta)]
    assert np.mean(lines) > 0.85
    assert np.median([each.energy_width for each in found]) < 1.5
