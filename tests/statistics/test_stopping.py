import math

import numpy as np
import pytest

from nic_energy.statistics.stopping import StoppingRule, half_width


def rule(interval: str = "two_sided", least: int = 5, most: int = 200) -> StoppingRule:
    return StoppingRule(0.99, 0.02, interval, least, most)  # type: ignore[arg-type]


def test_the_rule_as_published_in_closed_form() -> None:
    values = [10.0, 10.1, 9.9, 10.05, 9.95]
    std, t99, t995 = float(np.std(values, ddof=1)), 3.746947, 4.604095
    one, two = rule("one_sided"), rule("two_sided")
    assert one.width(std, 5) == pytest.approx(2 * std / math.sqrt(5) * t99, rel=1e-6)
    assert two.width(std, 5) == pytest.approx(2 * std / math.sqrt(5) * t995, rel=1e-6)
    assert half_width(values, 0.99) == pytest.approx(std / math.sqrt(5) * t995, rel=1e-6)


def test_the_largest_scatter_that_passes() -> None:
    for count, percent in ((5, 0.60), (10, 1.12), (20, 1.76)):
        published = rule("one_sided")
        assert published.width(0.98 * percent, count) < 2 < published.width(1.02 * percent, count)


def test_at_least_and_at_most_so_many_windows() -> None:
    steady = rule(least=5)
    assert not steady.decide([1.0] * 4).stop
    assert steady.decide([1.0] * 5).converged
    noisy = rule(most=6).decide([1.0, 2.0, 1.0, 2.0, 1.0, 2.0])
    assert noisy.stop
    assert not noisy.converged
    assert noisy.half_width_percent is not None
    assert noisy.half_width_percent > 1


def test_one_window_says_nothing_about_scatter() -> None:
    first = rule().decide([3.0])
    assert (first.mean, first.std, first.half_width_percent) == (3.0, None, None)
    assert first.predicted_repetitions is None
    assert half_width([3.0], 0.99) is None


def test_zero_or_negative_energy_never_converges() -> None:
    for values in ([0.0] * 6, [-1.0] * 6):
        decision = rule(most=6).decide(values)
        assert not decision.converged
        assert decision.half_width_percent is None


def test_k_is_predicted_from_the_scatter_so_far() -> None:
    rng = np.random.default_rng(3)
    values = list(rng.normal(100, 1.0, 10))
    decision = rule("one_sided").decide(values)
    predicted = decision.predicted_repetitions
    assert predicted is not None
    std = np.std(values, ddof=1)
    assert rule("one_sided").width(std, predicted) < 0.02 * np.mean(values)
    assert rule(most=12).decide([1.0, 2.0, 3.0]).predicted_repetitions is None


@pytest.mark.parametrize(
    ("interval", "cv", "coverage", "mean_k"), [("one_sided", 0.01, 0.992, 8.4)]
)
def test_simulated_coverage_of_the_published_rule(
    interval: str, cv: float, coverage: float, mean_k: float
) -> None:
    rng = np.random.default_rng(2018)
    chosen = rule(interval)
    inside, counts, runs = 0, [], 1500
    for _ in range(runs):
        values = list(rng.normal(1.0, cv, 5))
        while not chosen.decide(values).stop:
            values.append(rng.normal(1.0, cv))
        counts.append(len(values))
        inside += abs(float(np.mean(values)) - 1.0) <= 0.01
    assert np.mean(counts) == pytest.approx(mean_k, abs=0.4)
    assert inside / runs == pytest.approx(coverage, abs=0.008)


def test_the_decision_is_a_function_of_the_values_alone() -> None:
    chosen = rule(most=30)
    values = list(np.random.default_rng(11).normal(50, 0.6, 12))
    before = list(values)
    decision = chosen.decide(values)
    chosen.decide([1.0, 9.0, 3.0])
    assert chosen.decide(values) == decision
    assert values == before
    turned = chosen.decide(values[::-1])
    assert (turned.stop, turned.converged) == (decision.stop, decision.converged)
    assert turned.half_width_percent == pytest.approx(decision.half_width_percent)


def test_the_two_sided_rule_is_met_exactly_where_the_reported_interval_is_narrow_enough() -> None:
    rng = np.random.default_rng(12)
    seen = set()
    for _ in range(200):
        decision = rule(most=9).decide(list(rng.normal(1.0, 0.012, 9)))
        assert decision.half_width_percent is not None
        assert decision.converged == (decision.half_width_percent < 1)
        seen.add(decision.converged)
    assert seen == {True, False}
