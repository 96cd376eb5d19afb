import math

import numpy as np
import pytest

from nic_energy.statistics.coverage import simulated_windows
from nic_energy.statistics.pooled import SIGNIFICANCE, Pooled, inflation, pooled
from nic_energy.traces import FloatArray

SCATTERS = (0.002, 0.005, 0.01, 0.03)


def campaign(
    rng: np.random.Generator,
    modalities: int = 40,
    counts: tuple[int, ...] = (5,),
    correlation: float = 0.0,
    trend: float = 0.0,
) -> list[FloatArray]:
    """Modalities whose levels differ a thousandfold and whose relative scatters differ 15-fold."""
    series = []
    for number in range(modalities):
        count = counts[number % len(counts)]
        scatter = SCATTERS[number % len(SCATTERS)]
        relative = simulated_windows(1, count, scatter, correlation, rng)[0]
        series.append(10 ** rng.uniform(-1, 2) * (relative + trend * np.arange(count)))
    return series


def results(runs: int, seed: int, **options: object) -> list[Pooled]:
    rng = np.random.default_rng(seed)
    found = [pooled(campaign(rng, **options)) for _ in range(runs)]  # type: ignore[arg-type]
    return [each for each in found if each is not None]


def result(**changes: float) -> Pooled:
    values: dict[str, float] = {
        "autocorrelation": 0.5,
        "autocorrelation_u": 0.1,
        "autocorrelation_p": 0.001,
        "trend_per_window": -0.002,
        "trend_u": 0.0005,
        "trend_p": 0.001,
    }
    return Pooled(modalities=40, windows=200, **{**values, **changes})


@pytest.mark.parametrize(
    ("runs", "modalities", "counts"), [(600, 40, (5,)), (120, 200, (5,)), (250, 40, (3, 5, 12))]
)
def test_white_noise_is_seldom_taken_for_anything_else(
    runs: int, modalities: int, counts: tuple[int, ...]
) -> None:
    found = results(runs, 1, modalities=modalities, counts=counts)
    assert len(found) == runs
    error = 3 * math.sqrt(SIGNIFICANCE * (1 - SIGNIFICANCE) / runs)
    assert np.mean([each.autocorrelated for each in found]) == pytest.approx(
        SIGNIFICANCE, abs=error
    )
    assert np.mean([each.drifts for each in found]) == pytest.approx(SIGNIFICANCE, abs=error)


def test_forty_modalities_of_five_windows_show_a_correlation_of_a_half() -> None:
    found = results(150, 2, correlation=0.5)
    assert np.mean([each.autocorrelated for each in found]) > 0.75
    assert np.mean([each.autocorrelation for each in found]) == pytest.approx(0.5, abs=0.05)
    # Bends of correlated noise are not a trend.
    assert np.mean([each.drifts for each in found]) < 0.12


def test_the_standard_uncertainties_are_those_of_repeated_campaigns() -> None:
    for correlation in (0.0, 0.5):
        found = results(250, 3, correlation=correlation)
        scatter = np.std([each.autocorrelation for each in found], ddof=1)
        assert np.mean([each.autocorrelation_u for each in found]) == pytest.approx(
            scatter, rel=0.2
        )
        slopes = np.std([each.trend_per_window for each in found], ddof=1)
        assert np.mean([each.trend_u for each in found]) == pytest.approx(slopes, rel=0.2)


@pytest.mark.parametrize("correlation", [-0.4, 0.0, 0.5, 0.8])
@pytest.mark.parametrize("counts", [(5,), (3, 4, 20)])
def test_the_correlation_of_short_series_is_not_biased(
    correlation: float, counts: tuple[int, ...]
) -> None:
    found = pooled(campaign(np.random.default_rng(4), 4000, counts=counts, correlation=correlation))
    assert found is not None
    assert found.autocorrelation_u < 0.025
    assert abs(found.autocorrelation - correlation) < 3.5 * found.autocorrelation_u


def test_a_trend_is_found_and_is_not_called_autocorrelation() -> None:
    found = results(300, 5, trend=0.004)
    assert np.mean([each.drifts for each in found]) > 0.95
    # The share is of the mean of the run, which the trend itself raises by 0.8 %.
    assert np.mean([each.trend_per_window for each in found]) == pytest.approx(0.004, rel=0.05)
    assert np.mean([each.autocorrelated for each in found]) < 0.11
    assert np.mean([each.autocorrelation for each in found]) == pytest.approx(0, abs=0.05)


def test_levels_and_units_drop_out() -> None:
    series = campaign(np.random.default_rng(6), correlation=0.4)
    scaled = [values * 10.0**number for number, values in enumerate(series[:20])] + series[20:]
    first, second = pooled(series), pooled(scaled)
    assert first is not None
    assert second is not None
    for name in ("autocorrelation", "autocorrelation_p", "trend_per_window", "trend_p"):
        assert getattr(second, name) == pytest.approx(getattr(first, name), rel=1e-6)


def test_one_modality_that_scatters_much_does_not_decide_for_all() -> None:
    series = campaign(np.random.default_rng(7))
    calm = pooled(series)
    wild = pooled([*series, np.array([1.0, 1.2, 1.4, 1.6, 1.8])])
    assert calm is not None
    assert wild is not None
    assert abs(wild.autocorrelation - calm.autocorrelation) < 0.1
    assert abs(wild.trend_per_window) < 0.01


def test_everything_is_counted_that_entered() -> None:
    rng = np.random.default_rng(8)
    useless = [np.array([1.0]), np.full(6, 2.5), np.array([-1.0, -1.1, -0.9, -1.0, -1.2])]
    found = pooled(campaign(rng, 10) + useless + [np.array([3.0, 3.1])])
    assert found is not None
    assert (found.modalities, found.windows) == (11, 52)


@pytest.mark.parametrize(
    ("modalities", "counts"),
    [(2, (50,)), (3, (5,)), (30, (2,))],
    ids=["two modalities", "nine degrees of freedom", "two windows each"],
)
def test_too_little_is_no_answer(modalities: int, counts: tuple[int, ...]) -> None:
    assert pooled(campaign(np.random.default_rng(9), modalities, counts)) is None


def test_no_scatter_is_no_answer() -> None:
    assert pooled([np.full(6, level) for level in (0.1, 0.2, 0.3, 0.4)]) is None
    assert pooled([level * (1 + 0.01 * np.arange(-3.0, 4.0)) for level in (1.0, 2.0, 3.0)]) is None
    assert pooled([]) is None


def test_an_energy_is_finite() -> None:
    with pytest.raises(ValueError, match="finite"):
        pooled([np.array([1.0, math.nan, 1.0])])


@pytest.mark.parametrize("correlation", [-0.3, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("count", [2, 5, 12])
def test_the_inflation_is_that_of_the_covariance_matrix(correlation: float, count: int) -> None:
    lags = np.abs(np.subtract.outer(np.arange(count), np.arange(count)))
    covariance = correlation**lags
    variance_of_mean = covariance.mean()
    expected_square = np.trace((np.eye(count) - 1 / count) @ covariance) / (count - 1)
    factor = math.sqrt(variance_of_mean / (expected_square / count))
    assert inflation(correlation, count) == pytest.approx(max(1.0, factor))


def test_the_inflation_of_long_runs() -> None:
    assert inflation(0.5, 100_000) == pytest.approx(math.sqrt(3), rel=1e-4)
    assert inflation(0.0, 5) == 1.0


def test_nothing_is_inflated_that_is_not_significant() -> None:
    assert result().inflation(5) == inflation(0.5, 5) > 1.7
    assert result(autocorrelation_p=0.06).inflation(5) == 1.0
    assert result(autocorrelation=-0.5).inflation(5) == 1.0
    assert result(autocorrelation_p=0.06, significance=0.1).inflation(5) > 1.7


def test_what_has_no_inflation() -> None:
    with pytest.raises(ValueError, match="scatter of 1 windows"):
        result().inflation(1)
    with pytest.raises(ValueError, match="correlation lies between"):
        inflation(1.0, 5)


def test_a_trend_adds_its_rectangle() -> None:
    assert result().trend_share(5) == pytest.approx(0.002 * 4 / math.sqrt(12))
    assert result().trend_share(1) == 0.0
    assert result(trend_p=0.06).trend_share(5) == 0.0


def test_intervals_inflated_by_the_pooled_correlation_cover() -> None:
    rng = np.random.default_rng(10)
    t_975 = 2.776445
    plain, inflated = [], []
    for _ in range(150):
        values = simulated_windows(40, 5, 0.01, 0.5, rng)
        found = pooled(list(values))
        assert found is not None
        ratio = np.abs(values.mean(axis=1) - 1) / (values.std(axis=1, ddof=1) / math.sqrt(5))
        plain.append(np.mean(ratio <= t_975))
        inflated.append(np.mean(ratio <= t_975 * found.inflation(5)))
    assert np.mean(plain) < 0.82
    assert np.mean(inflated) == pytest.approx(0.95, abs=0.025)
