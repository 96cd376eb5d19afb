import numpy as np
import pytest

from nic_energy.statistics.clustered import (
    LEAST_CLUSTERS,
    draw,
    effective,
    expanded_percentiles,
    mean_interval,
)


def test_clusters_of_equal_size_count_each_and_a_large_one_hides_the_others() -> None:
    assert effective(np.repeat(np.arange(7), 3)) == pytest.approx(7)
    assert effective(np.array([0] * 90 + [1, 2, 3, 4, 5, 6, 7, 8, 9, 10])) < 1.3


def test_a_resample_holds_as_many_clusters_as_there_are() -> None:
    drawn = draw(9, 50, 1)
    assert drawn.shape == (50, 9)
    assert (drawn.sum(axis=1) == 9).all()
    assert np.array_equal(drawn, draw(9, 50, 1))
    assert not np.array_equal(drawn, draw(9, 50, 2))


def test_the_expanded_percentile_interval_is_wider_than_the_bare_one() -> None:
    values = np.random.default_rng(1).standard_normal(100_000)
    codes = np.arange(20)
    found = expanded_percentiles(values, codes)
    assert found is not None
    # t(0.975, 19) sqrt(20 / 19) = 2.147 normal standard deviations.
    assert found.high == pytest.approx(2.147, abs=0.03)
    assert found.low == pytest.approx(-2.147, abs=0.03)


def test_too_few_clusters_have_no_percentile_interval() -> None:
    values = np.arange(1000.0)
    assert expanded_percentiles(values, np.arange(LEAST_CLUSTERS)) is not None
    assert expanded_percentiles(values, np.arange(LEAST_CLUSTERS - 1)) is None
    dominated = np.array([0] * 100 + list(range(1, LEAST_CLUSTERS + 5)))
    assert expanded_percentiles(values, dominated) is None
    assert expanded_percentiles([], np.arange(20)) is None


@pytest.mark.parametrize("sizes", [(5,) * 12, (1, 1, 2, 2, 3, 4, 5, 6, 8, 9, 11, 12)])
def test_the_interval_of_a_clustered_mean_holds_it_as_often_as_it_says(
    sizes: tuple[int, ...],
) -> None:
    rng, trials, held = np.random.default_rng(2), 2000, 0
    codes = np.repeat(np.arange(len(sizes)), sizes)
    for _ in range(trials):
        values = 3 + rng.standard_normal(len(sizes))[codes] + 0.1 * rng.standard_normal(len(codes))
        _, interval = mean_interval(values, codes)
        assert interval is not None
        held += interval.low <= 3 <= interval.high
    assert 0.935 < held / trials < 0.975, held / trials


def test_one_cluster_that_holds_almost_all_says_almost_nothing() -> None:
    codes = np.array([0] * 95 + [1, 2, 3, 4, 5])
    values = np.random.default_rng(3).standard_normal(6)[codes]
    mean, interval = mean_interval(values, codes)
    assert interval is not None
    assert interval.high - interval.low > 10
    assert mean == pytest.approx(values.mean())
    assert mean_interval(values[:95], codes[:95])[1] is None
