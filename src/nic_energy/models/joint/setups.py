"""The joint model on a GPU that was never measured, where several set-ups are given."""

from typing import Any

import numpy as np

from nic_energy.models.joint.choice import CANDIDATES, admissible, choose
from nic_energy.models.joint.fit import Points, fit
from nic_energy.models.linear import FloatArray

NONE = ""


def leave_one_setup_out(points: Points) -> list[dict[str, Any]]:
    """Each set-up predicted by a model of the others, a row a set-up and reference network.

    Without a reference (`scaled_by` empty) the coefficients of the other GPUs are taken as they
    are. With one, all predictions are scaled so that those of this network, measured on the GPU
    that was left out, are right (geometric mean); the error is that of its other networks. Errors
    are absolute, biases signed, in percent; every network and level counts alike.
    """
    rows = []
    for setup in sorted(set(points.setup)):
        own = points.where(points.setup == setup)
        others = points.where(points.setup != setup)
        candidates = admissible(others)
        chosen = choose(others, candidates).name
        predicted = fit(others, CANDIDATES[chosen]).predict(own)
        for reference in (NONE, *own.networks):
            found = _errors(own, predicted, reference)
            if found is not None:
                head = {"setup": setup, "scaled_by": reference, "model": chosen}
                rows.append({**head, **found})
    return rows


def _errors(own: Points, predicted: FloatArray, reference: str) -> dict[str, Any] | None:
    measured = own.network == reference
    if measured.all():
        return None
    scale = 1.0
    if measured.any():
        weights = own.weights()[measured]
        ratios = np.log(own.energy_j[measured] / predicted[measured])
        scale = float(np.exp(np.average(ratios, weights=weights)))
    rest = own.where(~measured)
    relative = scale * predicted[~measured] / rest.energy_j - 1
    weights = rest.weights()
    return {
        "scale": scale,
        "networks": len(rest.networks),
        "error_percent": 100 * float(np.average(np.abs(relative), weights=weights)),
        "bias_percent": 100 * float(np.average(relative, weights=weights)),
    }
