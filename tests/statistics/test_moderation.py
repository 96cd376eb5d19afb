import math

import numpy as np
import pytest
from scipy import special

from nic_energy.statistics.gum import Budget, Component
from nic_energy.statistics.moderation import CommonVariance, _inverse_trigamma, common_variance
from nic_energy.statistics.stopping import StoppingRule
from nic_energy.traces import FloatArray


def groups(count: int, size: int, prior: float, seed: int) -> list[FloatArray]:
    """Groups whose true variances scatter about 4 with so many degrees of freedom."""
    random = np.random.default_rng(seed)
    spread = prior / random.chisquare(prior, count) if math.isfinite(prior) else np.ones(count)
    return list(2 * np.sqrt(spread)[:, None] * random.standard_normal((count, size)))


def test_equal_variances_are_pooled() -> None:
    found = [common_variance(groups(200, 5, math.inf, seed)) for seed in range(20)]
    assert all(each is not None for each in found)
    variances = [each.variance for each in found if each]
    # 800 degrees of freedom each: a standard error of 5 % / sqrt(20).
    assert np.mean(variances) == pytest.approx(4, rel=0.05)
    assert np.median([each.degrees_of_freedom for each in found if each]) > 40


def test_variances_that_differ_are_worth_as_much_as_they_differ() -> None:
    found = common_variance(groups(4000, 5, 8.0, 3))
    assert found is not None
    assert found.degrees_of_freedom == pytest.approx(8, rel=0.2)
    assert found.variance == pytest.approx(4, rel=0.05)
    assert found.total_degrees_of_freedom == 16000


def test_moderation_lies_between_own_and_common() -> None:
    common = CommonVariance(4.0, 8.0, 400.0)
    assert common.moderate(1.0, 4.0) == pytest.approx(((8 * 4 + 4 * 1) / 12, 12))
    pooled = CommonVariance(4.0, math.inf, 400.0)
    variance, free = pooled.moderate(1.0, 4.0)
    assert variance == pytest.approx(4, rel=0.01)
    assert free == 400


def test_too_few_groups_and_groups_without_scatter_say_nothing() -> None:
    assert common_variance(groups(2, 5, math.inf, 1)) is None
    still = [np.ones(5)] * 10
    assert common_variance([*groups(2, 5, math.inf, 1), *still]) is None
    assert common_variance([*groups(3, 5, math.inf, 1), *still]) is not None


@pytest.mark.parametrize("value", [1e-4, 0.1, 1.0, 50.0, 1e4])
def test_the_inverse_of_trigamma(value: float) -> None:
    assert float(special.polygamma(1, _inverse_trigamma(value))) == pytest.approx(value, rel=1e-6)


def test_it_mends_budgets_that_a_stopping_rule_makes_too_small() -> None:
    """Stopping where windows happen to agree leaves too small an s; the first windows do not.

    Student's factor alone would hide it; beside a well-known component, the formula of Welch and
    Satterthwaite takes a small s for a small contribution.
    """
    rule = StoppingRule(0.99, 0.02, "two_sided", 5, 50)
    random = np.random.default_rng(5)
    own: list[bool] = []
    moderated: list[bool] = []
    for _ in range(60):
        stopped: list[FloatArray] = []
        for _ in range(60):
            windows_j = list(100 + 0.7 * random.standard_normal(5))
            while not rule.decide(windows_j).stop:
                windows_j.append(100 + 0.7 * float(random.standard_normal()))
            stopped.append(np.array(windows_j))
        common = common_variance([values[:5] for values in stopped])
        assert common is not None
        for values in stopped:
            error, count = values.mean() - 100 + 0.3 * random.standard_normal(), len(values)
            variance = float(values.var(ddof=1))
            for held, (v, free) in (
                (own, (variance, count - 1.0)),
                (moderated, common.moderate(variance, count - 1.0)),
            ):
                windows = Component("windows", math.sqrt(v / count), free)
                budget = Budget((windows, Component("gain", 0.3)))
                held.append(bool(abs(error) <= budget.expanded_uncertainty(0.95)))
    assert np.mean(own) < 0.945
    assert np.mean(moderated) == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / len(own)))
