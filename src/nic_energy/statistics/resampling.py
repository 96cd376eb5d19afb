"""Resampling of clusters, exact where there are few: no seed, and no error of its own.

Drawing G of G clusters with replacement gives C(2G-1, G) distinct resamples, 462 of six. All of
them with their probabilities are the bootstrap distribution itself, not a sample of it. With few
clusters its percentile intervals still cover less than they say (Cameron, Gelbach and Miller,
"Bootstrap-Based Improvements for Inference with Clustered Errors", Review of Economics and
Statistics 90, 2008): they describe the data at hand.
"""

import itertools
import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

MOST_EXACT = 100_000
"""More distinct resamples than this (more than ten clusters) are drawn instead."""

DRAWS = 20_000
MOST_FLIPPED = 16
"""Sign patterns of at most so many clusters are listed; of more they are drawn."""


class Resamples(NamedTuple):
    """`counts` says how often each cluster is in a resample, shape (B, G); `probability` (B,)."""

    counts: IntArray
    probability: FloatArray


def resamples(clusters: int, seed: int = 0) -> Resamples:
    """All bootstrap resamples of so many clusters, or `DRAWS` of them where there are too many.

    Args:
        clusters: from 1. seed: of the draws; not used where all are listed.
    """
    if math.comb(2 * clusters - 1, clusters) > MOST_EXACT:
        drawn = np.random.default_rng(seed).multinomial(
            clusters, np.full(clusters, 1 / clusters), DRAWS
        )
        return Resamples(drawn.astype(np.int64), np.full(DRAWS, 1 / DRAWS))
    chosen = itertools.combinations_with_replacement(range(clusters), clusters)
    counts = np.array([np.bincount(one, minlength=clusters) for one in chosen])
    logs = math.lgamma(clusters + 1) - clusters * math.log(clusters)
    factorials = np.array([math.lgamma(n + 1) for n in range(clusters + 1)])
    return Resamples(counts, np.exp(logs - factorials[counts].sum(axis=1)))


def quantile(values: FloatArray, probability: FloatArray, level: float) -> float:
    """The least value that at least `level` of the probability does not exceed; shapes (B,).

    Values that are not finite are left out with their probability; NaN where none is left.
    """
    known = np.isfinite(values)
    if not known.any():
        return math.nan
    order = np.argsort(values[known], kind="stable")
    cumulated = np.cumsum(probability[known][order])
    place = int(np.searchsorted(cumulated, level * cumulated[-1] * (1 - 1e-12)))
    return float(values[known][order][place])


def interval(
    values: FloatArray, probability: FloatArray, confidence: float = 0.95
) -> tuple[float, float]:
    """The percentile interval of a statistic over the resamples."""
    tail = (1 - confidence) / 2
    return quantile(values, probability, tail), quantile(values, probability, 1 - tail)


def sign_flip_p(differences: FloatArray, seed: int = 0) -> float:
    """Two-sided p-value of paired differences, one a cluster, shape (G,), against a mean of 0.

    The share of all 2^G sign patterns whose mean is as far from 0; it cannot be below 2 / 2^G.
    """
    count = len(differences)
    if count <= MOST_FLIPPED:
        signs = np.array(list(itertools.product((-1.0, 1.0), repeat=count)))
    else:
        drawn = np.random.default_rng(seed).choice((-1.0, 1.0), (DRAWS, count))
        signs = np.vstack([np.ones(count), drawn])
    means = np.abs(signs @ differences)
    return float(np.mean(means >= abs(float(differences.sum())) * (1 - 1e-12)))
