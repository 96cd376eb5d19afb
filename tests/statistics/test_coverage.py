import math
from dataclasses import replace

import numpy as np
import pytest

from nic_energy.statistics import coverage as simulation
from nic_energy.statistics.coverage import Coverage, coverage, simulated_windows
from nic_energy.statistics.pooled import inflation
from nic_energy.statistics.stopping import StoppingRule, half_width

RULE = StoppingRule(0.99, 0.02, "two_sided", 5, 50)
PUBLISHED = replace(RULE, interval="one_sided")


def settled(found: Coverage) -> tuple[float, float]:
    return found.claim, found.mean_repetitions


@pytest.mark.parametrize("rule", [PUBLISHED, RULE, StoppingRule(0.95, 0.05, "two_sided", 2, 12)])
@pytest.mark.parametrize("correlation", [0.0, 0.5])
def test_every_run_stops_where_the_rule_stops_it(rule: StoppingRule, correlation: float) -> None:
    rng = np.random.default_rng(1)
    values = np.concatenate(
        [
            40 * simulated_windows(15, rule.max_repetitions, variation, correlation, rng)
            for variation in (0.005, 0.02, 0.06, 1.5)
        ]
    )
    runs = simulation.apply(rule, values)
    assert 0 < np.mean(runs.converged) < 1
    for row, mean, half, count, converged in zip(
        values, runs.mean, runs.half_width, runs.repetitions, runs.converged, strict=True
    ):
        decision = rule.decide(list(row[:count]))
        assert decision.stop
        assert decision.converged == converged
        assert not any(rule.decide(list(row[:fewer])).stop for fewer in range(1, count))
        assert mean == pytest.approx(decision.mean)
        assert half == pytest.approx(half_width(list(row[:count]), rule.confidence))


def test_running_moments_of_numbers_far_from_zero() -> None:
    values = 1e6 + np.random.default_rng(2).normal(size=(4, 30))
    means, stds = simulation.running(values)
    assert np.all(np.isnan(stds[:, 0]))
    for count in (2, 7, 30):
        assert means[:, count - 1] == pytest.approx(values[:, :count].mean(axis=1), rel=1e-12)
        assert stds[:, count - 1] == pytest.approx(values[:, :count].std(axis=1, ddof=1), rel=1e-6)


@pytest.mark.parametrize("correlation", [0.0, 0.5])
def test_simulated_windows_have_the_scatter_and_correlation_asked_for(correlation: float) -> None:
    values = simulated_windows(40_000, 6, 0.02, correlation, np.random.default_rng(3))
    assert values.mean() == pytest.approx(1, abs=5e-4)
    assert values.std(axis=0) == pytest.approx(np.full(6, 0.02), rel=0.02)
    lagged = np.corrcoef(values[:, 3], values[:, 5])[0, 1]
    assert lagged == pytest.approx(correlation**2, abs=0.02)


@pytest.mark.parametrize(
    ("variation", "correlation", "claim", "repetitions"),
    [(0.01, 0.0, 0.992, 8.4), (0.02, 0.0, 0.971, 23.3), (0.01, 0.5, 0.909, None)],
)
def test_the_published_rule(
    variation: float, correlation: float, claim: float, repetitions: float | None
) -> None:
    found = coverage(PUBLISHED, variation, correlation)
    assert found.claim == pytest.approx(claim, abs=4 * found.claim_error)
    if repetitions is not None:
        assert found.mean_repetitions == pytest.approx(repetitions, abs=0.15)


@pytest.mark.parametrize(("variation", "least"), [(0.01, 0.99), (0.02, 0.98)])
def test_the_claim_of_the_two_sided_rule_holds_as_required(variation: float, least: float) -> None:
    found = coverage(RULE, variation)
    assert found.claim - 3 * found.claim_error >= least
    # Stopping on the data has its price: the interval is not quite what it says it is.
    assert found.interval + 3 * found.interval_error < 0.99


def test_a_rule_that_cannot_stop_early_has_its_nominal_coverage() -> None:
    fixed = coverage(replace(RULE, min_repetitions=8, max_repetitions=8), 0.05)
    assert fixed.mean_repetitions == 8
    assert fixed.interval == pytest.approx(0.99, abs=3 * fixed.interval_error)
    assert fixed.not_converged > 0.99
    assert fixed.claim < 0.6
    assert fixed.interval_error == pytest.approx(math.sqrt(0.99 * 0.01 / 40_000), rel=0.1)


def test_inflation_widens_the_interval_and_nothing_else() -> None:
    plain = coverage(RULE, 0.01, 0.5, 20_000)
    wide = coverage(RULE, 0.01, 0.5, 20_000, inflation=lambda count: inflation(0.5, count))
    assert settled(wide) == settled(plain)
    assert plain.interval < 0.9
    assert wide.interval > 0.98


def test_equal_seeds_give_equal_runs() -> None:
    first = coverage(RULE, 0.01, trials=25_000, seed=5)
    assert first == coverage(RULE, 0.01, trials=25_000, seed=5)
    assert first != coverage(RULE, 0.01, trials=25_000, seed=6)
    assert first.trials == 25_000


@pytest.mark.parametrize("most", [1, 7])
def test_runs_are_long_enough_for_the_rule(most: int) -> None:
    with pytest.raises(ValueError, match=f"a cap of {most}"):
        simulation.apply(replace(RULE, max_repetitions=most), np.ones((3, 6)))
