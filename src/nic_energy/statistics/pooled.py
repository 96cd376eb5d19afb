"""Trend and autocorrelation of the windows, pooled over all modalities of a campaign.

Five windows of one modality have no power against either; forty modalities of five windows have.
Every modality enters with its residuals relative to its own mean, so that its level drops out,
and is weighted so that its scatter does too:

- Trend: least squares slope within every modality, weighted over the modalities by its inverse
  variance. How sure the mean slope is, is read off the spread of the slopes between modalities
  and not off the residuals about the lines, since autocorrelation bends lines and would pass for
  a trend (cluster-robust variance HC2 with the degrees of freedom of Bell and McCaffrey, "Bias
  reduction in standard errors for linear regression with multi-stage samples", Survey
  Methodology 28(2), 2002). Drifts that differ in sign between modalities cancel here, and are
  seen as autocorrelation.
- Autocorrelation: the lag-1 coefficient of every modality, whose numerator and denominator share
  its scatter. Of white noise its mean is -1/K and its variance (K-2)^2 / (K^2 (K-1)) exactly
  (Moran, "Some theorems on time series II", Biometrika 35, 1948). The pooled estimate is the
  correlation rho at which the coefficients are what they are expected to be under AR(1) noise
  in short series, so that the bias of the mean that was taken off is gone at any rho. Weights
  K - 1 are the best at rho = 0.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import special, stats

from nic_energy.traces import FloatArray

SIGNIFICANCE = 0.01
"""A test that would err no more often than this on white noise is believed. A false alarm widens
every interval of a campaign, so that its rows miss the bound of the stopping rule that they met."""

MIN_MODALITIES = 3
"""With fewer, the spread between modalities says nothing about the trend they share."""

MIN_DEGREES_OF_FREEDOM = 10
"""Least sum of K - 2: what is left of a modality after its level and its slope."""

PRIOR_DEGREES_OF_FREEDOM = 1.0
"""Weight of the pooled variance in that of a modality. Without it, one modality of three windows
that happen to lie on a line would outweigh all others; much of it would give modalities of little
scatter less weight than they deserve."""

NO_SCATTER = 1e-12
"""A relative standard deviation below this is the rounding of equal numbers."""

CORRELATIONS: FloatArray = np.linspace(-0.95, 0.95, 77)
"""Where the expected coefficients are tabulated, and the range to which the estimate is clipped."""

QUADRATURE_POINTS = 64


@dataclass(frozen=True)
class Pooled:
    """Trend and autocorrelation of the window energies of a campaign.

    Attributes:
        modalities: modalities that entered.
        windows: their windows together.
        autocorrelation: lag-1 correlation of successive windows, from -0.95 to 0.95; the trend
            is taken off first if it is significant.
        autocorrelation_u: its standard uncertainty.
        autocorrelation_p: one-sided p value against white noise, for positive correlation.
        trend_per_window: change of the window energy per window, as a share of the mean.
        trend_u: its standard uncertainty.
        trend_p: two-sided p value of no trend.
        significance: p below which the two are believed.
    """

    modalities: int
    windows: int
    autocorrelation: float
    autocorrelation_u: float
    autocorrelation_p: float
    trend_per_window: float
    trend_u: float
    trend_p: float
    significance: float = SIGNIFICANCE

    @property
    def autocorrelated(self) -> bool:
        """Whether successive windows are significantly and positively correlated."""
        return self.autocorrelation_p < self.significance

    @property
    def drifts(self) -> bool:
        """Whether the modalities share a significant trend."""
        return self.trend_p < self.significance

    def inflation(self, repetitions: int) -> float:
        """Factor, from 1, on the standard deviation of the mean of so many windows.

        It makes s / sqrt(K) right under AR(1) noise with the pooled correlation; 1 while that is
        not significantly positive.

        Raises:
            ValueError: fewer than two windows, of which there is no s.
        """
        return inflation(self.autocorrelation, repetitions) if self.autocorrelated else 1.0

    def scatter_ratio(self, repetitions: int, of: int) -> float:
        """How much larger E[s^2] of so many windows is than that `of` another number; 1 while
        the correlation is not significantly positive.
        """
        if not self.autocorrelated:
            return 1.0
        one, other = (expected_scatter(self.autocorrelation, k) for k in (repetitions, of))
        return one / other

    def trend_share(self, repetitions: int) -> float:
        """Standard uncertainty that a significant trend adds to the mean of so many windows.

        As a share of the mean: the energy at any one time of the run lies within half the change
        over the run, rectangular (JCGM 100:2008, 4.3.7). 0 while the trend is not significant.
        """
        if not self.drifts:
            return 0.0
        return abs(self.trend_per_window) * (repetitions - 1) / 2 / math.sqrt(3)


@dataclass(frozen=True)
class _Estimate:
    value: float
    uncertainty: float
    p: float


def pooled(series: Sequence[FloatArray], significance: float = SIGNIFICANCE) -> Pooled | None:
    """Test the windows of all modalities together for trend and autocorrelation.

    Args:
        series: window energies of every modality in time order, shape (K_i,), in any unit.
            Modalities of one window, without scatter, or whose mean is not positive (so that a
            relative scatter has no meaning) are left out.
        significance: p below which trend and autocorrelation are believed.

    Returns:
        None where any answer would be noise: fewer than `MIN_MODALITIES` modalities, fewer than
        `MIN_DEGREES_OF_FREEDOM` degrees of freedom (the standard uncertainty of the
        autocorrelation is then about 0.4 or more), or no scatter about the trend.

    Raises:
        ValueError: an energy is not finite.
    """
    residuals = [found for values in series if (found := _residuals(values)) is not None]
    degrees = sum(len(residual) - 2 for residual in residuals)
    if len(residuals) < MIN_MODALITIES or degrees < MIN_DEGREES_OF_FREEDOM:
        return None
    trend = _trend(residuals)
    if trend is None:
        return None
    if trend.p < significance:
        residuals = [r - trend.value * _centred(len(r)) for r in residuals]
    correlation = _autocorrelation(residuals)
    if correlation is None:
        return None
    return Pooled(
        modalities=len(residuals),
        windows=sum(len(residual) for residual in residuals),
        autocorrelation=correlation.value,
        autocorrelation_u=correlation.uncertainty,
        autocorrelation_p=correlation.p,
        trend_per_window=trend.value,
        trend_u=trend.uncertainty,
        trend_p=trend.p,
        significance=significance,
    )


def inflation(autocorrelation: float, repetitions: int) -> float:
    """Factor on s / sqrt(K) under AR(1) noise, sqrt(Var(mean) / (E[s^2] / K)), at least 1.

    Both moments are exact for K windows of a stationary process: with
    v = 1 + 2 * sum over j of (1 - j / K) * rho^j, Var(mean) = sigma^2 * v / K and
    E[s^2] = sigma^2 * (K - v) / (K - 1), so that correlation counts twice.

    Raises:
        ValueError: fewer than two windows, or a correlation not between -1 and 1.
    """
    variance = _variance_of_sum(autocorrelation, repetitions)
    return max(1.0, math.sqrt(variance * (repetitions - 1) / (repetitions - variance)))


def expected_scatter(autocorrelation: float, repetitions: int) -> float:
    """E[s^2] / sigma^2 of K windows of AR(1) noise, (K - v) / (K - 1); see `inflation`.

    Raises:
        ValueError: see `inflation`.
    """
    variance = _variance_of_sum(autocorrelation, repetitions)
    return (repetitions - variance) / (repetitions - 1)


def _variance_of_sum(autocorrelation: float, repetitions: int) -> float:
    """v of `inflation`."""
    if repetitions < 2:
        raise ValueError(f"the scatter of {repetitions} windows is not known.")
    if not -1 < autocorrelation < 1:
        raise ValueError(f"a correlation lies between -1 and 1, not at {autocorrelation}.")
    lags = np.arange(1, repetitions)
    return 1 + 2 * float(np.sum((1 - lags / repetitions) * autocorrelation**lags))


def _residuals(values: FloatArray) -> FloatArray | None:
    energies = np.asarray(values, dtype=np.float64)
    if not np.all(np.isfinite(energies)):
        raise ValueError("window energies must be finite.")
    if len(energies) < 2 or energies.mean() <= 0:
        return None
    residuals: FloatArray = energies / energies.mean() - 1
    return residuals if _scatters(residuals) else None


def _scatters(residuals: FloatArray) -> bool:
    return float(np.mean(residuals**2)) > NO_SCATTER**2


def _centred(count: int) -> FloatArray:
    centred = np.arange(count, dtype=np.float64) - (count - 1) / 2
    return centred


def _trend(residuals: Sequence[FloatArray]) -> _Estimate | None:
    places = [_centred(len(residual)) for residual in residuals]
    moments = np.array([place @ place for place in places])
    slopes = np.array([p @ r for p, r in zip(places, residuals, strict=True)]) / moments
    squares = np.array([r @ r for r in residuals]) - slopes**2 * moments
    degrees = np.array([len(residual) - 2 for residual in residuals])
    pooled_variance = squares.sum() / degrees.sum()
    if not pooled_variance > NO_SCATTER**2:
        return None
    prior = PRIOR_DEGREES_OF_FREEDOM
    variances = (squares + prior * pooled_variance) / (degrees + prior)
    return _weighted_mean(slopes, moments / variances)


def _weighted_mean(values: FloatArray, weights: FloatArray) -> _Estimate:
    """Weighted mean, its HC2 uncertainty from the spread of the values, and p of a mean of 0."""
    share = weights / weights.sum()
    mean = float(share @ values)
    part = share**2 / (1 - share)
    uncertainty = math.sqrt(float(part @ (values - mean) ** 2))
    # Satterthwaite for the quadratic form above; n - 1 for equal weights.
    degrees = 1 / (share @ share + part.sum() ** 2 - part @ part)
    if uncertainty == 0:
        return _Estimate(mean, 0.0, 1.0 if mean == 0 else 0.0)
    return _Estimate(mean, uncertainty, 2 * float(stats.t.sf(abs(mean) / uncertainty, degrees)))


def _autocorrelation(residuals: Sequence[FloatArray]) -> _Estimate | None:
    # Two windows have a coefficient of -1/2 whatever they are.
    telling = [r for r in residuals if len(r) > 2 and _scatters(r)]
    if len(telling) < 2:
        return None
    counts = np.array([len(r) for r in telling])
    weights = counts - 1.0
    coefficients = np.array([r[1:] @ r[:-1] / (r @ r) for r in telling])
    expected = np.array([_expected_coefficients(len(r)) for r in telling])
    total = weights @ expected
    value = float(np.interp(weights @ coefficients, total, CORRELATIONS))
    spread = weights * (coefficients - [np.interp(value, CORRELATIONS, row) for row in expected])
    steepness = float(np.interp(value, CORRELATIONS, np.gradient(total, CORRELATIONS)))
    number = len(telling)
    uncertainty = math.sqrt(float(spread @ spread) * number / (number - 1)) / steepness
    white = float(weights @ (coefficients + 1 / counts))
    white_u = math.sqrt(float(np.sum(weights * ((counts - 2) / counts) ** 2)))
    return _Estimate(value, uncertainty, float(stats.norm.sf(white / white_u)))


@lru_cache(maxsize=256)
def _expected_coefficients(count: int) -> FloatArray:
    """E[N / D] of `count` windows of Gaussian AR(1) noise at all `CORRELATIONS`.

    N is the sum of the products of neighbouring residuals, D their sum of squares, two quadratic
    forms z'Bz and z'Az of independent normal z. E[N / D] is the integral over t > 0 of
    E[N exp(-t D)] = prod_j (1 + 2 t a_j)^(-1/2) * sum_j b_j / (1 + 2 t a_j) with a_j the
    eigenvalues of A and b_j the diagonal of B between its eigenvectors (Sawa, "The exact moments
    of the least squares estimator for the autoregressive model", Journal of Econometrics 8,
    1978). With 1 + 2 t = 1 / v^2 (in units of the mean eigenvalue) the integrand is smooth.
    """
    lags = np.abs(np.subtract.outer(np.arange(count), np.arange(count)))
    root = np.linalg.cholesky(CORRELATIONS[:, None, None] ** lags)
    centring = np.eye(count) - 1 / count
    neighbours = (lags == 1) / 2
    turned = centring @ root
    values, vectors = np.linalg.eigh(np.swapaxes(turned, 1, 2) @ turned)
    values, seen = values[:, 1:], turned @ vectors[:, :, 1:]
    products = np.sum(seen * (neighbours @ seen), axis=1)
    nodes, node_weights = special.roots_legendre(QUADRATURE_POINTS)
    v = (nodes + 1) / 2
    scale = values.mean(axis=1)
    factors = v**2 + (values / scale[:, None])[:, :, None] * (1 - v**2)
    density = np.exp((count - 2) * np.log(v) - np.log(factors).sum(axis=1) / 2)
    integrand = density * np.sum(products[:, :, None] / factors, axis=1)
    expected: FloatArray = integrand @ (node_weights / 2) / scale
    return expected
