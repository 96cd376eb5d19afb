"""A straight line through points that are uncertain on both axes.

Generalised distance regression as in ISO/TS 28037:2010 (clause 10): of all lines and all true
abscissae, those that are nearest to the points in the metric of their covariances; with the
covariances of both axes independent of one another that is the minimum over the slope b of

    Q(a, b) = r' V(b)^-1 r,    r = y - a - b x,    V(b) = U_y + b^2 U_x.

Points next to one another in time may share a slow wander: besides a variance of its own, every
point has that of an Ornstein-Uhlenbeck process, whose size and correlation time come from the
residuals by restricted maximum likelihood. All is linear in the number of points, since the inverse
covariance of such a process is tridiagonal.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy import linalg, optimize, stats

from nic_energy.traces import FloatArray

Axis = Literal["x", "y"]

LEAST_POINTS = 4
ROUNDS = 4
CORRELATION_TIMES = 8
LEAST_SHARE = 1e-8
DERIVATIVE_STEP = 0.1
SLOPE_REACH = 0.3


@dataclass(frozen=True)
class Wander:
    """A slow wander of one axis: standard deviation in the unit of that axis, correlation time."""

    axis: Axis
    deviation: float
    time_s: float


@dataclass(frozen=True)
class FittedLine:
    """y = `intercept` + `slope` x, with the covariance of (intercept, slope), shape (2, 2).

    `degrees_of_freedom` are those of the two variances, (intercept, slope), after Satterthwaite:
    how well size and correlation time of the wander are known. `chi_squared` over `points` - 2 is
    1 where the variances are right. `curvature_p` is the p value of no curvature (two-sided), NaN
    with fewer than five points.
    """

    intercept: float
    slope: float
    covariance: FloatArray
    wander: Wander
    chi_squared: float
    points: int
    degrees_of_freedom: tuple[float, float]
    curvature_p: float


def fit_line(
    time_s: FloatArray,
    x: FloatArray,
    y: FloatArray,
    x_variance: FloatArray,
    y_variance: FloatArray,
    wanders: Axis | None,
) -> FittedLine:
    """Fit a line through points.

    Args:
        time_s: when each point was taken, shape (n,).
        x, y: the points, shape (n,).
        x_variance, y_variance: of each point on its own, shape (n,).
        wanders: the axis whose wander is looked for; None takes the points as independent.

    Raises:
        ValueError: fewer than four points, or all have the same x.
    """
    if len(x) < LEAST_POINTS or np.ptp(x) <= 1e-9 * max(1e-9, float(np.abs(x).max())):
        raise ValueError("a line needs at least four points of different power")
    order = np.argsort(time_s, kind="stable")
    time, x, y = time_s[order], x[order], y[order]
    x_variance, y_variance = x_variance[order], y_variance[order]
    slope = float(np.std(y) / np.std(x) * np.sign(np.corrcoef(x, y)[0, 1]))
    size, scale_s = 0.0, _scales(time)[0]
    for _ in range(ROUNDS):
        own = _floored(y_variance + slope**2 * x_variance)
        if wanders is not None:
            size, scale_s = _wander(time, x, y, own, size, scale_s)
        per_slope = size / slope**2 if wanders == "x" else size

        def covariance(b: float, per: float = per_slope, s: float = scale_s) -> _Covariance:
            own = _floored(y_variance + b**2 * x_variance)
            return _Covariance(time, own, per * b**2 if wanders == "x" else per, s)

        found = _nearest_slope(x, y, covariance, slope)
        settled, slope = abs(found - slope) <= 1e-9 * abs(found), found
        if settled:
            break
    line = _line(x, y, x_variance, covariance, slope)
    own = _floored(y_variance + slope**2 * x_variance)
    return replace(
        line,
        wander=Wander(wanders or "y", per_slope**0.5, scale_s),
        degrees_of_freedom=_degrees(time, x, y, own, size, scale_s),
    )


def _floored(variance: FloatArray) -> FloatArray:
    """Variances that can be divided by."""
    return np.maximum(variance, max(1e-9 * float(variance.max()), 1e-15))


class _Covariance:
    """Own variances on the diagonal, and an Ornstein-Uhlenbeck process."""

    def __init__(self, time_s: FloatArray, own: FloatArray, size: float, scale_s: float) -> None:
        self._own, self._factor = own, None
        self.log_determinant = float(np.log(own).sum())
        if size <= 0:
            return
        steps = np.maximum(np.diff(time_s), 1e-6 * scale_s)
        keep = np.exp(-steps / scale_s)
        left = -np.expm1(-2 * steps / scale_s)
        banded = np.zeros((2, len(own)))
        banded[1] = 1 / size
        banded[1, 1:] += keep**2 / left / size
        banded[1, :-1] += keep**2 / left / size
        banded[0, 1:] = -keep / left / size
        banded[1] += 1 / own
        self._factor = linalg.cholesky_banded(banded)
        self.log_determinant += len(own) * math.log(size) + float(np.log(left).sum())
        self.log_determinant += 2 * float(np.log(self._factor[1]).sum())

    def solve(self, values: FloatArray) -> FloatArray:
        """V^-1 values, shape (n,) or (n, k)."""
        scaled = (values.T / self._own).T
        if self._factor is None:
            return np.asarray(scaled)
        inner = linalg.cho_solve_banded((self._factor, False), scaled)
        return np.asarray(scaled - (inner.T / self._own).T)


def _wander(
    time: FloatArray,
    x: FloatArray,
    y: FloatArray,
    own: FloatArray,
    size: float,
    scale_s: float,
) -> tuple[float, float]:
    """(variance, correlation time) of the residuals' wander, by restricted maximum likelihood.

    Args:
        size, scale_s: those to begin with; of a size of 0 those of a grid that fit best.
    """
    design = np.column_stack([np.ones_like(x), x, y])
    residual = y - np.polyval(np.polyfit(x, y, 1), x)
    most = 10 * float(residual @ residual) / len(x)
    shortest, longest = _scales(time)
    if most <= 0:
        return 0.0, shortest
    bounds = (
        (math.log(LEAST_SHARE * most), math.log(most)),
        (math.log(shortest), math.log(longest)),
    )

    def deviance(logs: FloatArray) -> float:
        size, scale_s = np.exp(logs)
        return _deviance(_Covariance(time, own, float(size), float(scale_s)), design)

    starts = (
        [(math.log(size), math.log(scale_s))]
        if size > 0
        else [
            (log_size, log_scale)
            for log_size in np.log(most * np.array([1e-3, 1e-2, 0.1]))
            for log_scale in np.linspace(*bounds[1], CORRELATION_TIMES)
        ]
    )
    begin = min(starts, key=lambda logs: deviance(np.array(logs)))
    found = optimize.minimize(deviance, begin, method="Nelder-Mead", bounds=bounds,
                              options={"xatol": 1e-3, "fatol": 1e-4})  # fmt: skip
    if found.fun >= _deviance(_Covariance(time, own, 0.0, 1.0), design) - 1e-6:
        return 0.0, shortest
    size, scale_s = np.exp(found.x)
    return float(size), float(scale_s)


def _scales(time: FloatArray) -> tuple[float, float]:
    """Shortest and longest correlation time to look for."""
    shortest = max(float(np.median(np.diff(time))) / 2, 1e-6)
    return shortest, max(float(time[-1] - time[0]) / 2, 2 * shortest)


def _degrees(
    time: FloatArray, x: FloatArray, y: FloatArray, own: FloatArray, size: float, scale_s: float
) -> tuple[float, float]:
    """Degrees of freedom of the variances of intercept and slope, after Satterthwaite: 2 v^2 over
    the variance of v, which follows from that of the wander's parameters.
    """
    free = float(len(x) - 2)
    if size <= 0:
        return free, free
    design = np.column_stack([np.ones_like(x), x, y])

    def deviance(logs: FloatArray) -> float:
        return _deviance(_Covariance(time, own, *np.exp(logs)), design)

    def log_variances(logs: FloatArray) -> FloatArray:
        weighted = _Covariance(time, own, *np.exp(logs)).solve(design[:, :2])
        return np.asarray(np.log(np.diag(np.linalg.inv(design[:, :2].T @ weighted))))

    at = np.log([size, scale_s])
    steps = DERIVATIVE_STEP * np.eye(2)
    slopes = np.array([log_variances(at + h) - log_variances(at - h) for h in steps])
    slopes /= 2 * DERIVATIVE_STEP
    corners = [
        [sum(m * n * deviance(at + m * g + n * h) for m in (-1, 1) for n in (-1, 1)) for h in steps]
        for g in steps
    ]
    bend = np.array(corners) / (4 * DERIVATIVE_STEP**2)
    values, vectors = np.linalg.eigh(bend / 2)
    # Where the likelihood says nothing of a direction, it is known to about a factor of e.
    spread = vectors @ np.diag(1 / np.maximum(values, 1.0)) @ vectors.T
    variance = np.einsum("ik,ij,jk->k", slopes, spread, slopes)
    degrees = np.clip(2 / np.maximum(variance, 2 / free), 1.0, free)
    return float(degrees[0]), float(degrees[1])


def _deviance(covariance: _Covariance, design: FloatArray) -> float:
    """-2 log restricted likelihood of the last column given the others, but for a constant."""
    moments = design.T @ covariance.solve(design)
    fixed, cross = moments[:-1, :-1], moments[:-1, -1]
    left = float(moments[-1, -1] - cross @ np.linalg.solve(fixed, cross))
    _, log_fixed = np.linalg.slogdet(fixed)
    return covariance.log_determinant + float(log_fixed) + left


Covariances = Callable[[float], _Covariance]


def _distance(x: FloatArray, y: FloatArray, covariance: _Covariance, slope: float) -> float:
    """Q at the best intercept."""
    values = np.column_stack([np.ones_like(x), y - slope * x])
    moments = values.T @ covariance.solve(values)
    return float(moments[1, 1] - moments[0, 1] ** 2 / moments[0, 0])


def _nearest_slope(x: FloatArray, y: FloatArray, covariance: Covariances, about: float) -> float:
    reach = SLOPE_REACH * abs(about)
    found = optimize.minimize_scalar(
        lambda b: _distance(x, y, covariance(b), b),
        bounds=(about - reach, about + reach),
        method="bounded",
        options={"xatol": 1e-10 * abs(about)},
    )
    return float(found.x)


def _line(
    x: FloatArray,
    y: FloatArray,
    x_variance: FloatArray,
    covariance: Covariances,
    slope: float,
) -> FittedLine:
    """The line of that slope; its wander and degrees of freedom are the caller's to say."""
    at = covariance(slope)
    ones = np.ones_like(x)
    weighted = at.solve(ones)
    intercept = float(weighted @ (y - slope * x) / (weighted @ ones))
    residual = y - intercept - slope * x
    pulled = at.solve(residual)
    true_x = x + slope * x_variance * pulled
    jacobian = np.column_stack([ones, true_x])
    chi_squared = float(residual @ pulled)
    covariances = np.linalg.inv(jacobian.T @ at.solve(jacobian))
    return FittedLine(
        intercept,
        slope,
        np.asarray(covariances, dtype=np.float64),
        Wander("x", 0.0, 0.0),
        chi_squared,
        len(x),
        (1.0, 1.0),
        _curvature_p(x, y, at),
    )


def _curvature_p(x: FloatArray, y: FloatArray, covariance: _Covariance) -> float:
    free = len(x) - 3
    if free < 2 or len(np.unique(x)) < 3:
        return math.nan
    scaled = (x - x.mean()) / x.std()
    design = np.column_stack([np.ones_like(x), scaled, scaled**2])
    inverse = np.linalg.inv(design.T @ covariance.solve(design))
    solution = inverse @ (design.T @ covariance.solve(y))
    t = solution[2] / math.sqrt(inverse[2, 2])
    return float(2 * stats.t.sf(abs(t), free))
