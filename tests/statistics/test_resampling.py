import itertools

import numpy as np
import pytest

from nic_energy.statistics import resampling
from nic_energy.statistics.resampling import interval, quantile, resamples, sign_flip_p


@pytest.mark.parametrize("count", [1, 2, 3, 6])
def test_all_resamples_are_there_with_their_probabilities(count: int) -> None:
    """Against every ordered draw, written out."""
    found = resamples(count)
    drawn: dict[tuple[int, ...], int] = {}
    for draw in itertools.product(range(count), repeat=count):
        key = tuple(draw.count(cluster) for cluster in range(count))
        drawn[key] = drawn.get(key, 0) + 1
    got = dict(zip(map(tuple, found.counts.tolist()), found.probability, strict=True))
    assert set(got) == set(drawn)
    for key, number in drawn.items():
        assert got[key] == pytest.approx(number / count**count)


def test_many_clusters_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resampling, "MOST_EXACT", 10)
    found = resamples(4, seed=3)
    assert found.counts.shape == (resampling.DRAWS, 4)
    assert (found.counts.sum(axis=1) == 4).all()
    assert found.probability.sum() == pytest.approx(1)
    assert np.array_equal(found.counts, resamples(4, seed=3).counts)
    assert not np.array_equal(found.counts, resamples(4, seed=4).counts)
    assert np.allclose(found.counts.mean(axis=0), 1, atol=0.02)


def test_the_mean_of_a_resample_has_the_variance_of_the_bootstrap() -> None:
    values = np.array([1.0, 4.0, 2.0, 8.0, 5.0, 7.0])
    counts, probability = resamples(6)
    means = counts @ values / 6
    assert probability @ means == pytest.approx(values.mean())
    variance = probability @ (means - values.mean()) ** 2
    assert variance == pytest.approx(values.var() / 6)


def test_quantiles_of_a_weighted_distribution() -> None:
    values, probability = np.array([3.0, 1.0, 2.0]), np.array([0.2, 0.5, 0.3])
    assert [quantile(values, probability, q) for q in (0.0, 0.5, 0.51, 0.8, 0.81, 1.0)] == [
        1, 1, 2, 2, 3, 3,
    ]  # fmt: skip
    assert interval(values, probability, 0.2) == (1.0, 2.0)
    assert quantile(np.array([np.nan, 1.0]), np.array([0.9, 0.1]), 0.5) == 1.0
    assert np.isnan(quantile(np.array([np.nan]), np.array([1.0]), 0.5))


def test_signs_are_flipped_exactly() -> None:
    assert sign_flip_p(np.array([1.0, 2.0, 3.0])) == 2 / 8
    assert sign_flip_p(np.array([1.0, -2.0, 1.0])) == 1.0
    assert sign_flip_p(np.array([3.0, 1.0, -1.0])) == 6 / 8
    assert sign_flip_p(np.array([1.0] * 6)) == 2 / 64
    many = sign_flip_p(np.full(20, 1.0), seed=1)
    assert 0 < many < 1e-3


def test_under_no_difference_the_p_value_is_small_as_often_as_it_says() -> None:
    rng = np.random.default_rng(5)
    p = np.array([sign_flip_p(rng.standard_normal(8)) for _ in range(1500)])
    assert np.mean(p <= 0.05) == pytest.approx(0.047, abs=0.02)
