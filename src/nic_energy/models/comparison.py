"""Other ways to fit the line, and other things to fit it to, by the error on what was left out."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from nic_energy import tables
from nic_energy.config import Network
from nic_energy.models.linear import FloatArray, not_positive
from nic_energy.models.regression import METHODS, own_uncertainties
from nic_energy.models.sizes import PREDICTORS, Rows
from nic_energy.models.splits import (
    BY_IMAGE,
    BY_SIZE,
    Fit,
    Labels,
    groups_of,
    line_of,
    out_of_fold,
    padded_sizes,
    relative_errors_percent,
)
from nic_energy.models.uncertainty import LEVEL, numbers
from nic_energy.models.validation import Plan, groups_with_head
from nic_energy.statistics.clustered import mean_interval

HONEST = (BY_IMAGE, BY_SIZE)
POOL = ["setup", "source", "part", "estimator", "split", "predictor"]
ROUNDING = 9
"""Digits of a difference in percent that are no rounding errors."""

ALL = {"network": "all", "abbreviation": "all", "level": "all"}


def regression_comparison(
    energy: pd.DataFrame, networks: Mapping[str, Network], plan: Plan
) -> pd.DataFrame:
    """regression_comparison.csv: a row per network, level and method of `METHODS`.

    Errors and biases are those on images, and on padded sizes, that were left out; the folds are
    equal for all methods.
    """
    rows: list[dict[str, Any]] = []
    for head, group, network in groups_with_head(energy, networks):
        pixels, joules = numbers(group, "pixels"), numbers(group, "energy_j")
        u, groups = own_uncertainties(group), groups_of(group, network)
        for name, method in METHODS.items():
            row = {**head, "n": len(group), "method": name}
            line = method(pixels, joules, u)
            if line is None:
                unknown = name == "weighted" and u is None
                reason = "the energies carry no uncertainties" if unknown else "no line"
                rows.append({**row, "note": f"not fitted: {reason}"})
                continue
            row |= {"alpha_j_per_pixel": line.slope, "beta_j": line.intercept}
            unfit = not_positive(joules)
            if unfit is not None:
                rows.append({**row, "note": f"not validated: {unfit}"})
                continue
            for split in HONEST:
                errors = _errors(line_of(pixels, joules, method, u), joules, groups[split], plan)
                if errors is not None:
                    row[f"error_{split}_percent"] = float(np.abs(errors).mean())
                    row[f"bias_{split}_percent"] = float(errors.mean())
            rows.append(row)
    return tables.frame(rows, tables.REGRESSION_COLUMNS)


def _errors(fit: Fit, joules: FloatArray, groups: Labels | None, plan: Plan) -> FloatArray | None:
    """Relative errors in percent on what was left out, shape (n,).

    Of one split, the same for all that is compared: what they share cancels in the difference.
    None where a training set allows no model, or where an energy is not positive.
    """
    if not_positive(joules) is not None:
        return None
    predicted = out_of_fold(fit, len(joules), groups, plan.folds, plan.seed)
    return None if predicted is None else relative_errors_percent(predicted[0], joules)


def predictor_comparison(
    energy: pd.DataFrame, networks: Mapping[str, Network], plan: Plan
) -> pd.DataFrame:
    """predictor_comparison.csv: each of `PREDICTORS` against the pixels of Eq. (2), in pairs.

    The difference is that of the absolute relative errors on the same left-out rows; its 95 %
    interval takes the rows of an image, or of a padded size, as one draw. The rows `all` pool all
    networks; there, a draw is what all of them were measured on alike: an image, or the images
    that the coarsest padding makes equal.
    """
    coarsest = max(networks.values(), key=lambda network: network.pad_multiple)
    rows: list[dict[str, Any]] = []
    recorded: list[pd.DataFrame] = []
    for head, group, network in groups_with_head(energy, networks):
        groups = groups_of(group, network)
        unfit = not_positive(numbers(group, "energy_j"))
        coarse = {BY_IMAGE: groups[BY_IMAGE], BY_SIZE: padded_sizes(group, coarsest)}
        for split in HONEST:
            errors = _by_predictor(Rows.of(group, network), split, groups[split], plan)
            pixels = errors.pop("pixels")
            for name, found in errors.items():
                row = {**head, "n": len(group), "split": split, "predictor": name}
                if found is None or pixels is None:
                    reason = unfit or "a training set allows no model"
                    rows.append({**row, "note": f"not compared: {reason}"})
                    continue
                pair = pd.DataFrame({"error": found, "pixels": pixels, "cluster": groups[split]})
                rows.append({**row, **_difference(pair)})
                recorded.append(pair.assign(cluster=coarse[split], **row))
    if recorded:
        together = pd.concat(recorded, ignore_index=True)
        for keys, pairs in together.groupby(POOL, sort=False):
            row = {**dict(zip(POOL, keys, strict=True)), **ALL, "n": len(pairs)}
            rows.append({**row, **_difference(pairs)})
    return tables.frame(rows, tables.PREDICTOR_COMPARISON_COLUMNS)


def _by_predictor(
    rows: Rows, split: str, groups: Labels | None, plan: Plan
) -> dict[str, FloatArray | None]:
    """Absolute relative errors in percent, shape (n,); None where there is no model.

    A size that was left out has no effect that could be known, so that `pixels_and_size` would
    be `pixels` there.
    """
    found: dict[str, FloatArray | None] = {}
    for name, model in PREDICTORS.items():
        if split == BY_SIZE and name == "pixels_and_size":
            continue
        errors = _errors(model(rows), rows.joules, groups, plan)
        found[name] = None if errors is None else np.abs(errors)
    return found


def _difference(pairs: pd.DataFrame) -> dict[str, Any]:
    """Columns of predictor_comparison.csv from `error`, `pixels` and `cluster` of rows."""
    codes = np.unique(pairs["cluster"].to_numpy(dtype=str), return_inverse=True)[1]
    difference = (pairs["error"] - pairs["pixels"]).round(ROUNDING)
    mean, interval = mean_interval(difference, codes, LEVEL)
    row = {
        "error_percent": float(pairs["error"].mean()),
        "pixels_error_percent": float(pairs["pixels"].mean()),
        "difference_percent": mean,
        "clusters": int(codes.max()) + 1,
    }
    if interval is not None:
        row |= {"low_percent": interval.low, "high_percent": interval.high}
    return row
