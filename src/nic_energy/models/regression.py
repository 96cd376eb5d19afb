"""Ways to put a line through energies over pixels, E = alpha * S + beta.

They differ in what they minimise, r the residual in J:

- `least_squares`: the sum of r**2, as the paper; large images decide.
- `weighted`: the sum of (r / u)**2, u the uncertainty that each energy has of its own. It is the
  best line if nothing but measuring scatters about it.
- `relative`: the sum of (r / E)**2, close to what Eq. (3) asks for. Energies that scatter by s draw
  the line about s**2 below their mean.
- `huber`: Huber's loss (P. Huber, "Robust Estimation of a Location Parameter", 1964): energies
  further off than 1.35 robust standard deviations count linearly, not squared.
"""

import math
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from sklearn.linear_model import HuberRegressor

from nic_energy.models.linear import LEAST, FloatArray, Line
from nic_energy.models.uncertainty import INDEPENDENT, numbers
from nic_energy.vocabulary import OWN_IDLES

HUBER_EPSILON = 1.35
"""95 % as efficient as least squares where the scatter is Gaussian."""

LineFit = Callable[[FloatArray, FloatArray, FloatArray | None], Line | None]
"""(pixels, joules, own uncertainties in J or None), shape (n,) each, to a line or None."""


def own_uncertainties(group: pd.DataFrame) -> FloatArray | None:
    """What each energy is uncertain by on its own in J, shape (n,): nothing that rows share.

    Rows that do not know theirs take the root mean square of the others. None where no row knows
    it, or where one is certain.
    """
    parts = [numbers(group, name) for name in INDEPENDENT]
    if "idle_kind" in group.columns:
        own_idle = group["idle_kind"].isin(OWN_IDLES).to_numpy()
        parts.append(np.where(own_idle, numbers(group, "u_idle_j"), np.nan))
    known = np.isfinite(parts).any(axis=0)
    u = np.sqrt(np.nansum(np.square(parts), axis=0))
    if not known.any():
        return None
    u = np.where(known, u, math.sqrt(float(np.mean(u[known] ** 2))))
    return u if (u > 0).all() else None


def _least_squares(x: FloatArray, y: FloatArray, _: FloatArray | None) -> Line | None:
    return weighted_line(x, y, np.ones_like(x))


def _weighted(x: FloatArray, y: FloatArray, u: FloatArray | None) -> Line | None:
    return None if u is None else weighted_line(x, y, 1 / u**2)


def _relative(x: FloatArray, y: FloatArray, _: FloatArray | None) -> Line | None:
    return weighted_line(x, y, 1 / y**2) if (y > 0).all() else None


def _huber(x: FloatArray, y: FloatArray, _: FloatArray | None) -> Line | None:
    """Fitted in units of the spread of x and y, in which its solver converges.

    An exact line leaves Huber's scale nothing to be estimated from; it is that of least squares.
    """
    start = _least_squares(x, y, None)
    if start is None:
        return None
    residuals = y - start.predict(x)
    spread = float(np.std(residuals))
    if spread <= 1e-12 * float(np.max(np.abs(y))):
        return start
    scale, centre = float(np.std(x)), float(np.mean(x))
    fit = HuberRegressor(epsilon=HUBER_EPSILON, alpha=0.0, max_iter=1000, tol=1e-8)
    fit.fit((x[:, None] - centre) / scale, residuals / spread)
    slope = float(fit.coef_[0]) * spread / scale
    intercept = float(fit.intercept_) * spread - slope * centre
    return Line(start.slope + slope, start.intercept + intercept, None)


METHODS: Mapping[str, LineFit] = {
    "least_squares": _least_squares,
    "weighted": _weighted,
    "relative": _relative,
    "huber": _huber,
}


def weighted_line(x: FloatArray, y: FloatArray, weights: FloatArray) -> Line | None:
    """The line that minimises the weighted squares, shape (n,) each; None where none is defined.

    In closed form: cross-validation asks for it some ten thousand times.
    """
    if len(x) < LEAST or np.ptp(x) == 0:
        return None
    share = weights / weights.sum()
    mean_x, mean_y = float(share @ x), float(share @ y)
    centred = x - mean_x
    slope = float((share * centred) @ (y - mean_y) / ((share * centred) @ centred))
    return Line(slope, mean_y - slope * mean_x, None)
