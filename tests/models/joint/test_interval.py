import math

import numpy as np
import pytest

from benchmarks.worlds import TRUTHS, world
from nic_energy.models.joint.choice import CANDIDATES, admissible, choose, nested
from nic_energy.models.joint.fit import Points, distances, fit, information
from nic_energy.models.joint.interval import (
    Errors,
    LeftOutLine,
    ends,
    errors_of,
    judged_intervals,
    line_of_model,
)


def line(network: str, ratio: float, level: str = "low") -> LeftOutLine:
    return LeftOutLine(network, level, "mac", ratio * 1e-5, ratio, 1e-5, 1.0, 0.5)


def test_the_interval_is_students_t_of_the_left_out_errors_and_the_scatter() -> None:
    ratios = (1.1, 0.9, 1.05, 0.95, 1.2, 0.85)
    lines = tuple(line(f"n{k}", ratio) for k, ratio in enumerate(ratios))
    found = Errors(lines, scatter=0.0, pixels=(1e5, 2e6))
    spread = math.sqrt(np.mean(np.log(ratios) ** 2))
    assert found.half_width(1e6, 0.5) == pytest.approx(2.5706 * spread, rel=1e-4)
    noisy = Errors(lines, scatter=0.1, pixels=(1e5, 2e6))
    assert noisy.half_width(1e6, 0.5) == pytest.approx(math.hypot(2.5706 * spread, 0.196), rel=1e-4)


def test_the_interval_is_never_narrower_than_the_largest_left_out_error() -> None:
    """One of forty is far off: Student's t alone would leave it outside."""
    lines = (*(line(f"n{k}", 1.0) for k in range(40)), line("odd", 2.0))
    found = Errors(lines, scatter=0.0, pixels=(1e5, 2e6))
    assert found.half_width(1e6, 0.0) == pytest.approx(math.log(2))


def test_levels_of_a_network_are_no_further_networks() -> None:
    ratios = (1.1, 0.9, 1.2)
    once = Errors(tuple(line(f"n{k}", r) for k, r in enumerate(ratios)), 0.0, (1e5, 2e6))
    both = tuple(line(f"n{k}", r, level) for k, r in enumerate(ratios) for level in ("low", "high"))
    twice = Errors(both, 0.0, (1e5, 2e6))
    assert twice.networks == 3
    assert twice.half_width(1e6, 0.0) == pytest.approx(once.half_width(1e6, 0.0))


def test_the_interval_widens_with_the_distance_but_never_narrows() -> None:
    found = Errors(tuple(line(f"n{k}", 1.0 + k / 10) for k in range(6)), 0.0, (1e5, 2e6))
    near, here, far = (found.half_width(1e6, distance) for distance in (0.1, 0.5, 5.0))
    assert near == here
    assert far == pytest.approx(here * math.sqrt(6 / 1.5))
    assert found.remoteness(0.1) < 1 < found.remoteness(5.0)


def test_outside_the_pixels_lines_are_compared_at_the_border() -> None:
    lines = tuple(
        LeftOutLine(f"n{k}", "low", "mac", 1e-5, -0.9, 1e-5, 1.0 + k, 0.5) for k in range(3)
    )
    found = Errors(lines, 0.0, (1e5, 2e6))
    assert found.half_width(1.0, 0.5) == found.half_width(1e5, 0.5)
    assert found.half_width(1e9, 0.5) == found.half_width(2e6, 0.5)


def test_a_model_gives_a_network_a_line() -> None:
    table = Points.of(world(TRUTHS["mac_calls"]))
    model = fit(table, CANDIDATES["mac_calls"])
    rows = table.where((table.network == "net2") & (table.level == "high"))
    slope, offset = line_of_model(model, rows)
    assert slope * rows.pixels + offset == pytest.approx(model.predict(rows))


@pytest.mark.parametrize(("truth", "between"), [("mac", 0.05), ("mac", 0.2), ("size", 0.15)])
def test_intervals_hold_networks_that_were_never_measured(truth: str, between: float) -> None:
    """With the choice of the terms in it; it may hold more than it says, not less."""
    held = []
    for seed in range(30):
        table = world(TRUTHS[truth], networks=9, seed=seed, between=between, scatter=0.05)
        known = table["network"].isin([f"net{n}" for n in range(6)])
        training, new = Points.of(table[known]), Points.of(table[~known])
        candidates = admissible(training)
        model = fit(training, CANDIDATES[choose(training, candidates).name])
        errors = errors_of(training, nested(training, candidates))
        assert errors is not None
        away = distances(new, information(training, model), model)
        half = [errors.half_width(*each) for each in zip(new.pixels, away, strict=True)]
        held.append(np.mean(np.abs(np.log(new.energy_j / model.predict(new))) <= half))
    assert np.mean(held) > 0.93, np.mean(held)


def test_the_judged_intervals_do_not_know_what_they_are_of() -> None:
    table = world(TRUTHS["mac"], between=0.1, seed=3, scatter=0.02)
    changed = table.assign(
        energy_j=table["energy_j"].where(table["network"] != "net2", 5 * table["energy_j"])
    )
    found = []
    for each in (Points.of(table), Points.of(changed)):
        left_out = nested(each, tuple(CANDIDATES))
        errors = errors_of(each, left_out)
        assert errors is not None
        found.append(judged_intervals(each, tuple(CANDIDATES), left_out, errors))
    for before, after in zip(found[0][4:6], found[1][4:6], strict=True):
        assert after["high_j"] == pytest.approx(before["high_j"])
        assert before["inside"] and not after["inside"]


def test_an_interval_beyond_all_floats_has_no_ends() -> None:
    low, high = ends(2.0, 1.0)
    assert (low, high) == pytest.approx((2 / math.e, 2 * math.e))
    assert ends(2.0, 800.0) == ends(2.0, math.inf) == (None, None)


def test_lines_that_cross_zero_are_left_out_and_too_few_give_nothing() -> None:
    table = world(TRUTHS["mac"], networks=3)
    steep = table["energy_j"] - 0.99 * table.groupby(["network", "level"])["energy_j"].transform(
        lambda values: values.iloc[0]
    )
    crossing = table.assign(energy_j=steep.where(table["network"] != "net0", table["energy_j"]))
    data = Points.of(crossing[crossing["energy_j"] > 0])
    found = errors_of(data, nested(data, ("size",)))
    assert found is not None
    lone = Points.of(table[(table["network"] == "net0") | (table["image"] == "i768")])
    assert errors_of(lone, nested(lone, ("size",))) is None
