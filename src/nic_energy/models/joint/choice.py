"""Which terms the joint model has: chosen by the error on networks that were left out.

The candidates are fixed beforehand. Each is judged by leaving out one network after the other,
with all its levels. Of those that cannot be told from the best one, the simplest is taken: where
the mean of the paired differences of their errors is within its standard error (L. Breiman et al.,
"Classification and Regression Trees", 1984). The error of the chosen one would be too good, since
it was chosen by it; the nested loop therefore chooses anew without each network, and predicts it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nic_energy.models.joint.fit import BYTES, CALLS, KMAC, Fitted, Points, fit
from nic_energy.models.linear import FloatArray

BASE = ("j_per_pixel", "j_per_execution")
CANDIDATES: Mapping[str, tuple[str, ...]] = {
    "size": BASE,
    "mac": ("j_per_kmac", *BASE),
    "bytes": ("j_per_byte", *BASE),
    "mac_bytes": ("j_per_kmac", "j_per_byte", *BASE),
    "mac_calls": ("j_per_kmac", "j_per_call", *BASE),
}
NEEDS: Mapping[str, str] = {"j_per_kmac": KMAC, "j_per_byte": BYTES, "j_per_call": CALLS}
"""The feature of a network that a term needs."""

LEAST_NETWORKS = 3
ROUNDING = 1e-6
"""A difference of errors, as shares, that is none: terms at 0 leave equal models."""


def admissible(points: Points) -> tuple[str, ...]:
    """The candidates that so many networks can support.

    Two networks a term that tells networks apart, and two for what all share; with six networks
    these are two such terms. A candidate of which a network lacks the feature is none.
    """
    found = []
    for name, terms in CANDIDATES.items():
        needed = [NEEDS[term] for term in terms if term in NEEDS]
        known = all(np.isfinite(points.features[feature]).all() for feature in needed)
        if known and 2 * len(needed) + 2 <= max(len(points.networks), 2):
            found.append(name)
    return tuple(found)


@dataclass(frozen=True)
class Judged:
    """A candidate on the networks that were left out.

    Attributes:
        errors: mean absolute relative error by network, as a share, in the order of the names.
        predicted: energy in J of each point by the model without its network, shape (n,).
    """

    errors: FloatArray
    predicted: FloatArray

    @property
    def mean(self) -> float:
        """Of the errors."""
        return float(self.errors.mean())


@dataclass(frozen=True)
class Choice:
    """The candidate that was taken, and how all were judged."""

    name: str
    judged: Mapping[str, Judged]


def errors_by_network(points: Points, predicted: FloatArray) -> FloatArray:
    """Mean absolute relative error by network, as a share; every level counts alike."""
    relative, weights = np.abs(predicted - points.energy_j) / points.energy_j, points.weights()
    means = []
    for network in points.networks:
        own = points.network == network
        means.append(np.average(relative[own], weights=weights[own]))
    return np.array(means)


def leave_networks_out(points: Points, terms: Sequence[str]) -> Judged:
    """Each network predicted by a model of the others."""
    predicted = np.empty(len(points.energy_j))
    for network in points.networks:
        own = points.network == network
        predicted[own] = fit(points.where(~own), terms).predict(points.where(own))
    return Judged(errors_by_network(points, predicted), predicted)


def choose(points: Points, candidates: Sequence[str]) -> Choice:
    """The simplest candidate that cannot be told from the best one.

    With two networks there is nothing to choose by: it is the simplest.
    """
    if len(points.networks) < LEAST_NETWORKS:
        return Choice(min(candidates, key=lambda name: len(CANDIDATES[name])), {})
    judged = {name: leave_networks_out(points, CANDIDATES[name]) for name in candidates}
    best = min(judged, key=lambda name: judged[name].mean)
    close = [name for name in judged if _excess_is_noise(judged[name], judged[best])]
    chosen = min(close, key=lambda name: (len(CANDIDATES[name]), judged[name].mean))
    return Choice(chosen, judged)


def _excess_is_noise(candidate: Judged, best: Judged) -> bool:
    excess = candidate.errors - best.errors
    error = float(excess.std(ddof=1)) / math.sqrt(len(excess))
    return float(excess.mean()) <= error + ROUNDING


@dataclass(frozen=True)
class LeftOut:
    """One network, predicted by a model whose terms, too, were chosen without it."""

    network: str
    candidate: str
    model: Fitted


def nested(points: Points, candidates: Sequence[str]) -> tuple[LeftOut, ...]:
    """The outer loop, in the order of the names."""
    found = []
    for network in points.networks:
        rest = points.where(points.network != network)
        candidate = choose(rest, candidates).name
        found.append(LeftOut(network, candidate, fit(rest, CANDIDATES[candidate])))
    return tuple(found)


def predicted_left_out(points: Points, left_out: Sequence[LeftOut]) -> FloatArray:
    """Energy in J of each point by the model of the other networks, shape (n,)."""
    predicted = np.empty(len(points.energy_j))
    for each in left_out:
        own = points.network == each.network
        predicted[own] = each.model.predict(points.where(own))
    return predicted
