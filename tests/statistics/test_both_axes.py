import numpy as np
import pytest
from scipy import stats

from nic_energy.statistics.both_axes import FittedLine, _Covariance, fit_line
from nic_energy.traces import FloatArray

SLOPE, INTERCEPT = 0.83, -45.0


def wander(random: np.random.Generator, time: FloatArray, scale_s: float) -> FloatArray:
    values = random.standard_normal(len(time))
    for n in range(1, len(time)):
        keep = np.exp(-(time[n] - time[n - 1]) / scale_s)
        values[n] = keep * values[n - 1] + np.sqrt(1 - keep**2) * values[n]
    return values


def simulated(
    seed: int, count: int = 220, slow_w: float = 1.5, scale_s: float = 1800.0, own: float = 0.4
) -> FittedLine:
    """Levels in blocks, as a campaign runs network after network; the x axis wanders."""
    random = np.random.default_rng(seed)
    time = np.cumsum(random.uniform(50, 80, count))
    true = np.repeat(random.permutation(np.linspace(110, 220, 22)), count // 22)
    true = true + random.normal(0, 3, count)
    x = true + slow_w * wander(random, time, scale_s) + random.normal(0, own, count)
    y = INTERCEPT + SLOPE * true + random.normal(0, 0.2, count)
    return fit_line(time, x, y, np.full(count, own**2), np.full(count, 0.04), "x")


def test_without_noise_the_line_is_exact() -> None:
    x = np.linspace(10, 100, 12)
    found = fit_line(np.arange(12.0), x, 3 + 0.5 * x, np.full(12, 1e-4), np.full(12, 1e-4), "y")
    assert [found.slope, found.intercept] == pytest.approx([0.5, 3])
    assert found.wander.deviation == 0


def test_pearsons_data_with_yorks_weights() -> None:
    # York et al., Am. J. Phys. 72 (2004) 367, Table II: slope -0.48053, intercept 5.4799, with
    # standard errors 0.057985 and 0.29497 after (before scaling by chi squared).
    x = np.array([0.0, 0.9, 1.8, 2.6, 3.3, 4.4, 5.2, 6.1, 6.5, 7.4])
    y = np.array([5.9, 5.4, 4.4, 4.6, 3.5, 3.7, 2.8, 2.8, 2.4, 1.5])
    wx = np.array([1e3, 1e3, 5e2, 8e2, 2e2, 8e1, 6e1, 2e1, 1.8, 1.0])
    wy = np.array([1.0, 1.8, 4.0, 8.0, 2e1, 2e1, 7e1, 7e1, 1e2, 5e2])
    found = fit_line(np.arange(10.0), x, y, 1 / wx, 1 / wy, None)
    assert found.slope == pytest.approx(-0.480533, abs=2e-5)
    assert found.intercept == pytest.approx(5.479910, abs=2e-4)
    u = np.sqrt(np.diag(found.covariance))
    assert u == pytest.approx([0.294971, 0.057985], rel=0.01)


def test_errors_of_x_do_not_flatten_the_line() -> None:
    random = np.random.default_rng(1)
    true = random.uniform(100, 120, 4000)
    x, y = true + random.normal(0, 3, 4000), true + random.normal(0, 1, 4000)
    found = fit_line(np.arange(4000.0), x, y, np.full(4000, 9.0), np.full(4000, 1.0), "x")
    assert np.polyfit(x, y, 1)[0] < 0.85
    assert found.slope == pytest.approx(1, abs=4 * np.sqrt(found.covariance[1, 1]))
    assert np.sqrt(found.covariance[1, 1]) < 0.02
    assert found.chi_squared / 3998 == pytest.approx(1, abs=0.1)


def test_the_banded_covariance_is_that_of_the_process() -> None:
    random = np.random.default_rng(2)
    time, own = np.cumsum(random.uniform(1, 9, 30)), random.uniform(0.5, 2, 30)
    full = np.diag(own) + 2.5 * np.exp(-np.abs(time[:, None] - time) / 12.0)
    found = _Covariance(time, own, 2.5, 12.0)
    values = random.standard_normal((30, 3))
    assert found.solve(values) == pytest.approx(np.linalg.solve(full, values))
    assert found.solve(values[:, 0]) == pytest.approx(np.linalg.solve(full, values[:, 0]))
    assert found.log_determinant == pytest.approx(np.linalg.slogdet(full)[1])


def test_size_and_time_of_a_slow_wander_are_found() -> None:
    found = [simulated(seed) for seed in range(12)]
    assert np.median([each.wander.deviation for each in found]) == pytest.approx(1.5, rel=0.3)
    assert 600 < np.median([each.wander.time_s for each in found]) < 5400
    assert np.median([each.chi_squared / 218 for each in found]) == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize(("scale_s", "count"), [(60.0, 110), (1200.0, 110), (600.0, 44)])
def test_intervals_hold_slope_and_intercept_under_a_slow_wander(scale_s: float, count: int) -> None:
    held = []
    for seed in range(40):
        found = simulated(100 + seed, count, scale_s=scale_s)
        u = np.sqrt(np.diag(found.covariance))
        k = stats.t.ppf(0.975, found.degrees_of_freedom)
        errors = np.array([found.intercept - INTERCEPT, found.slope - SLOPE])
        held.append(np.abs(errors) <= k * u)
    # 95 % of 40, less three standard deviations.
    assert (np.mean(held, axis=0) > 0.84).all()


def test_a_slow_wander_leaves_few_degrees_of_freedom_to_the_intercept() -> None:
    slow, fast = simulated(3, scale_s=3600.0), simulated(3, scale_s=60.0)
    assert slow.degrees_of_freedom[0] < 15 < fast.degrees_of_freedom[0]
    assert slow.degrees_of_freedom[1] > 20


def test_curvature_is_seen() -> None:
    random = np.random.default_rng(5)
    x = random.uniform(50, 150, 200)
    straight = 0.9 * x + random.normal(0, 0.5, 200)
    bent = straight + 4e-4 * (x - 100) ** 2
    own = np.full(200, 0.125)
    time = np.arange(200.0)
    assert fit_line(time, x, straight, own, own, "y").curvature_p > 0.01
    assert fit_line(time, x, bent, own, own, "y").curvature_p < 1e-3


def test_points_that_make_no_line() -> None:
    own = np.full(5, 0.1)
    with pytest.raises(ValueError, match="at least four"):
        fit_line(np.arange(5.0), np.full(5, 7.0), np.arange(5.0), own, own, "x")
    with pytest.raises(ValueError, match="at least four"):
        fit_line(np.arange(3.0), np.arange(3.0), np.arange(3.0), own[:3], own[:3], "x")
