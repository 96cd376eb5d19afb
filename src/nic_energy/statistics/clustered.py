"""Means and intervals of values that come in clusters: what shares a cluster is not independent."""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

LEAST_CLUSTERS = 8
"""Fewer, counted by `effective`, give too few different resamples for an interval of 95 %."""


class Interval(NamedTuple):
    """Bounds, in the unit of what they are of."""

    low: float
    high: float


def effective(codes: IntArray) -> float:
    """How many clusters of equal size would average as much as these: 1 / sum of squared shares.

    Args:
        codes: the cluster of each value, 0 to clusters - 1, shape (n,).
    """
    shares = np.bincount(codes) / len(codes)
    return float(1 / np.sum(shares**2))


def draw(clusters: int, resamples: int, seed: int) -> IntArray:
    """How often each resample holds each cluster, shape (resamples, clusters)."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(clusters, np.full(clusters, 1 / clusters), size=resamples)


def expanded_percentiles(
    values: npt.ArrayLike, codes: IntArray, confidence: float = 0.95
) -> Interval | None:
    """The expanded percentile interval of what was computed from each resample.

    The bare percentile interval is too short by the factor that a normal quantile and the spread
    of a sample are too small by; the levels are widened until it is not (T. Hesterberg, "What
    Teachers Should Know About the Bootstrap", The American Statistician 69, 2015). None with fewer
    than `LEAST_CLUSTERS` effective clusters, or without values.

    Args:
        values: one a resample. codes: the cluster of each value that was resampled, shape (n,).
    """
    known = np.asarray(values, dtype=float)
    clusters = int(codes.max()) + 1
    if effective(codes) < LEAST_CLUSTERS or len(known) == 0:
        return None
    reach = math.sqrt(clusters / (clusters - 1)) * stats.t.ppf((1 + confidence) / 2, clusters - 1)
    low, high = np.quantile(known, stats.norm.cdf([-reach, reach]))
    return Interval(float(low), float(high))


def mean_interval(
    values: npt.ArrayLike, codes: IntArray, confidence: float = 0.95
) -> tuple[float, Interval | None]:
    """The mean of clustered values and its interval by Student's t.

    Clusters are taken as draws of equal variance whatever their size, so that one which holds most
    of the values leaves few degrees of freedom (Satterthwaite), and a wide interval. No interval
    for fewer than two clusters.

    Args:
        values: shape (n,). codes: the cluster of each value, 0 to clusters - 1, shape (n,).
    """
    numbers = np.asarray(values, dtype=float)
    sizes = np.bincount(codes)
    means = np.bincount(codes, numbers) / sizes
    share = sizes / len(numbers)
    mean = float(share @ means)
    if len(means) < 2:
        return mean, None
    centring = np.eye(len(means)) - share
    form = centring.T @ np.diag(share**2) @ centring
    # The variance of the mean is `share @ share` times that of a cluster; `form` estimates
    # trace(form) times it.
    trace = float(np.trace(form))
    variance = float(means @ form @ means) / trace * float(share @ share)
    freedom = trace**2 / float(np.sum(form * form.T))
    half = float(stats.t.ppf((1 + confidence) / 2, freedom)) * math.sqrt(max(variance, 0.0))
    return mean, Interval(mean - half, mean + half)
