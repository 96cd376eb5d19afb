"""What the joint model has to beat: predictions of a network that was left out by simpler means."""

from collections.abc import Callable, Mapping

import numpy as np

from nic_energy.models.joint.choice import Judged, errors_by_network
from nic_energy.models.joint.fit import PAPER_KMAC, Points
from nic_energy.models.linear import FloatArray, fit_line

Baseline = Callable[[Points, Points], FloatArray | None]
"""(points of the other networks, points to predict) to energies in J; None where there is none."""


def _lines(points: Points) -> FloatArray:
    """(kMAC per pixel, alpha, beta) of every network and level that has a line, shape (m, 3)."""
    found = []
    for network in points.networks:
        for level in sorted(set(points.level[points.network == network])):
            rows = points.where((points.network == network) & (points.level == level))
            line = fit_line(rows.pixels, rows.energy_j)
            if line is not None:
                found.append((rows.features[PAPER_KMAC].mean(), line.slope, line.intercept))
    return np.array(found).reshape(-1, 3)


def _mean_line(others: Points, asked: Points) -> FloatArray | None:
    """The mean of the other networks' lines."""
    lines = _lines(others)
    if not len(lines):
        return None
    return np.asarray(lines[:, 1].mean() * asked.pixels + lines[:, 2].mean(), dtype=float)


def _slope_over_mac(others: Points, asked: Points) -> FloatArray | None:
    """The paper's: alpha from an unweighted line over kMAC per pixel, beta the mean."""
    kmac, alpha, beta = _lines(others).T
    line = fit_line(kmac, alpha) if np.isfinite(kmac).all() else None
    if line is None:
        return None
    slopes = line.predict(asked.features[PAPER_KMAC])
    return np.asarray(slopes * asked.pixels + beta.mean(), dtype=float)


BASELINES: Mapping[str, Baseline] = {"mean_line": _mean_line, "slope_over_mac": _slope_over_mac}


def judge(points: Points, baseline: Baseline) -> Judged | None:
    """The baseline on each network, left out; None where it has no prediction of one."""
    predicted = np.empty(len(points.energy_j))
    for network in points.networks:
        own = points.network == network
        found = baseline(points.where(~own), points.where(own))
        if found is None:
            return None
        predicted[own] = found
    return Judged(errors_by_network(points, predicted), predicted)
