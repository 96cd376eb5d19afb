"""Variances of few values each, moderated by what all of them have in common.

The scatter of five windows is hardly known, and a stopping rule makes it worse: a modality stops
where its windows happen to agree, so that the variance it stops with is too small. The first
windows of every modality, as many as the rule takes at least, are a sample of fixed size that no
rule has chosen. Their variances tell what is common to all modalities, and how far modalities
really differ (Smyth, "Linear models and empirical Bayes methods for assessing differential
expression in microarray experiments", Statistical Applications in Genetics and Molecular Biology
3(1), 2004, section 6.2): each true variance is taken from a scaled inverse chi-squared
distribution, and its estimate is drawn towards that distribution as far as the data bear it out.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, special

from nic_energy.traces import FloatArray

MIN_GROUPS = 3
"""With fewer variances nothing is known of how far they differ."""


@dataclass(frozen=True)
class CommonVariance:
    """What variances have in common.

    Attributes:
        variance: the common variance, in the square of the unit of the values.
        degrees_of_freedom: how many it is worth beside a group's own; infinite where the groups
            do not differ more than chance makes them.
        total_degrees_of_freedom: of all groups together, which no moderated one exceeds.
    """

    variance: float
    degrees_of_freedom: float
    total_degrees_of_freedom: float

    def moderate(self, variance: float, degrees_of_freedom: float) -> tuple[float, float]:
        """The moderated variance of a group, and its degrees of freedom."""
        prior = min(self.degrees_of_freedom, self.total_degrees_of_freedom)
        total = prior + degrees_of_freedom
        moderated = (prior * self.variance + degrees_of_freedom * variance) / total
        return moderated, min(total, self.total_degrees_of_freedom)


def common_variance(series: Sequence[FloatArray]) -> CommonVariance | None:
    """What the variances of groups have in common, by moments of their logarithms.

    Args:
        series: the values of every group, shape (n_i,), samples of sizes fixed beforehand.
            Groups of one value or without scatter are left out.

    Returns:
        None with fewer than `MIN_GROUPS` groups.
    """
    pairs = [(float(np.var(s, ddof=1)), len(s) - 1) for s in series if len(s) > 1]
    pairs = [(variance, free) for variance, free in pairs if variance > 0]
    if len(pairs) < MIN_GROUPS:
        return None
    variances, degrees = (np.array(column, dtype=float) for column in zip(*pairs, strict=True))
    half = degrees / 2
    logs = np.log(variances) - special.digamma(half) + np.log(half)
    excess = float(np.var(logs, ddof=1) - np.mean(special.polygamma(1, half)))
    total = float(degrees.sum())
    if excess <= 0:
        return CommonVariance(float(degrees @ variances / total), math.inf, total)
    prior = 2 * _inverse_trigamma(excess)
    shift = float(special.digamma(prior / 2)) - math.log(prior / 2)
    return CommonVariance(math.exp(float(logs.mean()) + shift), prior, total)


def _inverse_trigamma(value: float) -> float:
    """x with trigamma(x) = value; trigamma falls from infinity to 0, about as 1/x + 1/(2 x^2)."""
    low, high = 1e-4 / (1 + value), 2.0 + 2.0 / value
    found = optimize.brentq(lambda x: float(special.polygamma(1, x)) - value, low, high)
    return float(found)
